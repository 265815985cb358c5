//! Programs that end with us.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use local::{
    leash::{Farewell, Leash, Program},
    room,
};

fn start(room: &Path, script: &str, grace: Duration) -> Leash {
    Program {
        line: ["/bin/sh", "-c", script].map(OsStr::new).into(),
        env: vec![("ANSWER", "42".to_owned())],
        directory: Some(room),
        log: File::create(room.join("log")).expect("a log"),
        user: None,
        farewell: Farewell::Terminate,
        leftovers: None,
        grace,
    }
    .start()
    .expect("sh starts")
}

fn room() -> PathBuf {
    room::private(&std::env::temp_dir()).expect("a directory")
}

fn await_log(room: &Path, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fs::read_to_string(room.join("log"))
        .expect("a log")
        .contains(wanted)
    {
        assert!(Instant::now() < deadline, "{wanted} was not said");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_program_is_asked_to_end_and_its_status_is_told() {
    let room = room();
    let script = "trap 'echo bye; exit 3' TERM; echo $ANSWER; while :; do sleep 0.01; done";
    let mut leash = start(&room, script, Duration::from_secs(10));
    await_log(&room, "42");
    assert!(leash.ended().expect("asked").is_none());
    assert_eq!(leash.end().expect("it ends").code(), Some(3));
    await_log(&room, "bye");
    fs::remove_dir_all(room).expect("removed");
}

#[test]
fn a_program_that_does_not_listen_is_killed() {
    let room = room();
    let mut leash = start(
        &room,
        "trap '' TERM; echo up; while :; do sleep 0.01; done",
        Duration::from_secs(1),
    );
    await_log(&room, "up");
    let pid = leash.pid();
    let begun = Instant::now();
    // Either our own patience ends first or the watcher's: killed it is in both cases.
    let ended = leash.end().map(|status| status.code());
    assert!(matches!(ended, Err(_) | Ok(Some(137))), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    fs::remove_dir_all(room).expect("removed");
}

#[test]
fn a_program_that_is_not_there_says_so_in_its_log() {
    let room = room();
    let mut leash = start(&room, "exec /nowhere/at/all", Duration::from_secs(5));
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        if let Some(status) = leash.ended().expect("asked") {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(127));
    await_log(&room, "/nowhere/at/all");
    fs::remove_dir_all(room).expect("removed");
}
