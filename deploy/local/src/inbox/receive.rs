//! The sockets under the SMTP session.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    Mailbox,
    session::{Session, Step},
};

const MAX_CONNECTIONS: usize = 32;
/// RFC 5321 gives a client five minutes; a sender on the same machine is quicker.
const IDLE: Duration = Duration::from_secs(60);
/// A line is read in pieces of at most this many bytes.
const PIECE: u64 = 4096;

pub(super) async fn serve(listener: TcpListener, mailbox: Mailbox) {
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with the inbox, as they would with a server that goes down.
    let mut connections = JoinSet::new();
    loop {
        let seat = Arc::clone(&seats)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: some will come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mailbox = mailbox.clone();
        connections.spawn(async move {
            let _seat = seat;
            // A client that leaves in the middle is no news: what it did not finish is forgotten.
            let _ = converse(stream, &mailbox).await;
        });
    }
}

async fn converse(stream: TcpStream, mailbox: &Mailbox) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut session = Session::default();
    writer.write_all(Session::GREETING.as_bytes()).await?;
    while let Some(piece) = timeout(IDLE, piece(&mut reader)).await?? {
        let (said, close) = match session.take(&piece) {
            Step::Silent => continue,
            Step::Say(said) => (said, false),
            Step::SayAndClose(said) => (said, true),
            Step::Deliver(envelope, said) => {
                mailbox.deliver(envelope);
                (said, false)
            }
        };
        timeout(IDLE, writer.write_all(said.as_bytes())).await??;
        if close {
            break;
        }
    }
    Ok(())
}

/// A line with its end, or the next [`PIECE`] bytes of a longer one; nothing at the end of input.
async fn piece(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(PIECE).read_until(b'\n', &mut bytes).await?;
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}
