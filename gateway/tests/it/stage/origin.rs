use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

/// An upstream that does what the test says and tells what it was asked.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    asked: Mutex<mpsc::Receiver<Asked>>,
    connections: Arc<AtomicUsize>,
    accepting: tokio::task::AbortHandle,
}

/// A request as the origin got it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What came behind the body.
    pub(crate) trailers: Option<HeaderMap>,
}

/// What it answers.
pub(crate) struct Answer(Response<String>);

impl Answer {
    /// 200 with a body.
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self(Response::new(body.into()))
    }

    /// 200 with the body that came.
    pub(crate) fn echo(asked: &Asked) -> Self {
        Self::ok(String::from_utf8_lossy(&asked.body))
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        *self.0.status_mut() = status.try_into().unwrap();
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers_mut().append(name, value.parse().unwrap());
        self
    }
}

type Later = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Origin {
    /// Answers each request with what `answer` makes of it.
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let (tell, asked) = mpsc::channel(1024);
        let mut origin = Self::raw(move |stream| {
            let (answer, tell) = (answer.clone(), tell.clone());
            Box::pin(async move {
                let service = service_fn(move |request| {
                    let (answer, tell) = (answer.clone(), tell.clone());
                    async move {
                        let Some(asked) = read(request).await else {
                            return Ok::<_, Infallible>(Answer::ok("").status(400).0);
                        };
                        let _ = tell.try_send(asked.clone());
                        Ok(answer(&asked).0)
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .half_close(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            })
        })
        .await;
        origin.asked = Mutex::new(asked);
        origin
    }

    /// Does with each connection what `play` says.
    pub(crate) async fn raw(play: impl Fn(TcpStream) -> Later + Send + 'static) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(play(stream));
            }
        });
        Self {
            address,
            asked: Mutex::new(mpsc::channel(1024).1),
            connections,
            accepting: accepting.abort_handle(),
        }
    }

    /// Takes every connection and says nothing.
    pub(crate) async fn silent() -> Self {
        Self::raw(|stream| {
            Box::pin(async move {
                let _open = stream;
                std::future::pending::<()>().await;
            })
        })
        .await
    }

    /// Answers with half of what it announces, and closes.
    pub(crate) async fn breaking_off() -> Self {
        Self::raw(|mut stream| {
            Box::pin(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
                let _ = stream.write_all(half).await;
            })
        })
        .await
    }

    /// A port where nobody listens.
    pub(crate) async fn absent() -> Self {
        let origin = Self::raw(|_| Box::pin(async {})).await;
        origin.accepting.abort();
        // The task, and its socket, go when it is next polled: a connection proves it.
        while TcpStream::connect(origin.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        origin
    }

    /// The next request that came.
    pub(crate) async fn asked(&self) -> Asked {
        let mut asked = self.asked.lock().await;
        let next = tokio::time::timeout(super::PATIENCE, asked.recv()).await;
        next.expect("the origin was not asked").unwrap()
    }

    /// Whether nothing came that was not looked at.
    pub(crate) async fn is_unasked(&self) -> bool {
        self.asked.lock().await.try_recv().is_err()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The whole request; `None` when it was cut.
async fn read(request: http::Request<Incoming>) -> Option<Asked> {
    let (parts, mut incoming) = request.into_parts();
    let (mut body, mut trailers) = (Vec::new(), None);
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await
    {
        match frame.ok()?.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Some(Asked {
        method: parts.method,
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: body.into(),
        trailers,
    })
}
