use std::sync::Mutex;

use http::HeaderValue;

use super::*;
use crate::testing::{TestRequest, at_once};
use crate::{BuildError, Env, Later, Plugin};

/// What a probe does when a request reaches it.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Pass,
    Refuse,
    Panic,
    WaitThenPass,
    WaitThenRefuse,
    WaitThenPanic,
    WaitForEver,
}

/// Writes down when it was reached.
struct Probe {
    name: &'static str,
    stage: Stage,
    act: Act,
    diary: Arc<Mutex<Vec<String>>>,
}

impl Probe {
    fn note(&self, hook: &str) {
        let line = format!("{} {hook}", self.name);
        self.diary.lock().expect("the diary").push(line);
    }
}

impl Plugin for Probe {
    const NAME: &'static str = "probe";
    const STAGE: Stage = Stage::Observe;
    type Config = ();

    fn build(_config: (), _env: &Env) -> Result<Self, BuildError> {
        Err(BuildError::new("", "probes are made by hand"))
    }
    fn stage(&self) -> Stage {
        self.stage
    }
    fn request(&self, _request: &mut Request<'_>) -> Flow {
        self.note("request");
        match self.act {
            Act::Pass => Flow::Continue,
            Act::Refuse => Flow::Reply(Box::new(Reply::unauthenticated())),
            Act::Panic => panic!("a probe panics"),
            _ => Flow::Wait,
        }
    }
    fn challenge<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async { Plugin::request(self, request) })
    }

    fn request_wait<'a>(&'a self, _request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async {
            self.note("wait");
            match self.act {
                Act::WaitThenRefuse => Flow::Reply(Box::new(Reply::unauthenticated())),
                Act::WaitThenPanic => panic!("a probe panics later"),
                Act::WaitForEver => Flow::Wait,
                _ => Flow::Continue,
            }
        })
    }
    fn upstream_request(&self, _seen: &Seen<'_>, headers: &mut HeaderMap) {
        self.note("upstream");
        headers.insert("x-last", HeaderValue::from_static(self.name));
    }
    fn response(&self, _seen: &Seen<'_>, head: &mut ResponseHead) {
        self.note("response");
        if self.act == Act::Panic {
            panic!("a probe panics");
        }
        let name = HeaderValue::from_static(self.name);
        head.headers.insert("x-last", name);
    }
}

struct Walk {
    diary: Vec<String>,
    refusal: Option<Box<Reply>>,
}

fn chain(probes: &[(&'static str, Stage, Act)]) -> (Chain, Arc<Mutex<Vec<String>>>) {
    let diary = Arc::default();
    let links = probes
        .iter()
        .map(|&(name, stage, act)| {
            let diary = Arc::clone(&diary);
            let probe = Probe {
                name,
                stage,
                act,
                diary,
            };
            Link::new(name, Arc::new(probe))
        })
        .collect();
    (Chain::new(links), diary)
}

fn walk(probes: &[(&'static str, Stage, Act)]) -> Walk {
    let (chain, diary) = chain(probes);
    let refusal = at_once(TestRequest::new("GET", "/").run(&chain));
    let diary = diary.lock().expect("the diary").clone();
    Walk { diary, refusal }
}

#[test]
fn stages_order_a_chain_and_the_file_orders_a_stage() {
    let walk = walk(&[
        ("headers", Stage::Shape, Act::Pass),
        ("second", Stage::Limit, Act::Pass),
        ("first", Stage::Edge, Act::Pass),
        ("third", Stage::Limit, Act::Pass),
        ("who", Stage::Identify, Act::Pass),
    ]);
    assert!(walk.refusal.is_none());
    let order = ["first", "who", "second", "third", "headers"];
    assert_eq!(walk.diary, order.map(|name| format!("{name} request")));
}

#[test]
fn a_refusal_ends_the_walk_and_names_its_plugin() {
    let walk = walk(&[
        ("a", Stage::Edge, Act::Pass),
        ("b", Stage::Edge, Act::Refuse),
        ("c", Stage::Edge, Act::Pass),
    ]);
    let refusal = walk.refusal.expect("a refusal");
    assert_eq!((refusal.code(), refusal.by), ("unauthenticated", "probe"));
    assert_eq!(walk.diary, ["a request", "b request"]);
}

#[test]
fn a_hook_that_waits_is_awaited_and_only_that() {
    let walk = walk(&[
        ("a", Stage::Edge, Act::Pass),
        ("b", Stage::Edge, Act::WaitThenPass),
        ("c", Stage::Edge, Act::WaitThenRefuse),
        ("d", Stage::Edge, Act::Pass),
    ]);
    assert_eq!(
        walk.refusal.expect("a refusal").status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        walk.diary,
        ["a request", "b request", "b wait", "c request", "c wait"]
    );
}

#[test]
fn a_panic_is_one_500() {
    for act in [Act::Panic, Act::WaitThenPanic, Act::WaitForEver] {
        let walk = walk(&[("a", Stage::Edge, act), ("b", Stage::Edge, Act::Pass)]);
        let refusal = walk.refusal.expect("a 500");
        assert_eq!(refusal.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!((refusal.code(), refusal.by), ("internal", "probe"));
        assert!(
            !walk.diary.contains(&"b request".to_owned()),
            "b was reached"
        );
    }
}

#[test]
fn answers_walk_home_backwards_past_a_panic() {
    let (chain, diary) = chain(&[
        ("outer", Stage::Edge, Act::Pass),
        ("broken", Stage::Limit, Act::Panic),
        ("inner", Stage::Shape, Act::Pass),
    ]);
    let head = TestRequest::new("GET", "/").respond(&chain, ResponseHead::default());
    assert_eq!(head.headers["x-last"], "outer");
    let diary = diary.lock().expect("the diary").clone();
    assert_eq!(
        diary,
        ["inner response", "broken response", "outer response"]
    );
}

#[test]
fn only_the_asked_stages_run() {
    let (chain, diary) = chain(&[
        ("cors", Stage::Edge, Act::Pass),
        ("who", Stage::Identify, Act::Refuse),
    ]);
    let mut request = TestRequest::new("OPTIONS", "/");
    let refusal = at_once(request.run_stages(&chain, |stage| stage == Stage::Edge));
    assert!(refusal.is_none());
    assert_eq!(*diary.lock().expect("the diary"), ["cors request"]);
}

#[test]
fn a_shadow_refuses_nothing_and_is_taken_down() {
    for act in [Act::Refuse, Act::WaitThenRefuse, Act::Panic] {
        let (chain, diary) = chain(&[("a", Stage::Limit, act), ("b", Stage::Limit, Act::Pass)]);
        let mut links = chain.links().to_vec();
        links[0].mode = Mode::Shadow;
        let mut request = TestRequest::new("GET", "/");
        assert!(at_once(request.run(&Chain::new(links))).is_none());
        assert_eq!(request.facts.would_deny, [Arc::from("a")]);
        assert!(
            diary
                .lock()
                .expect("the diary")
                .contains(&"b request".into())
        );
    }
}

/// Neither the upstream nor the client may notice it.
#[test]
fn a_shadow_edits_nothing() {
    let (chain, diary) = chain(&[("a", Stage::Shape, Act::Pass)]);
    let mut links = chain.links().to_vec();
    links[0].mode = Mode::Shadow;
    let chain = Chain::new(links);
    let request = TestRequest::new("GET", "/");
    assert!(request.upstream(&chain).is_empty());
    let head = request.respond(&chain, ResponseHead::default());
    assert!(head.headers.is_empty());
    // It counts by what it sees.
    let seen = ["a upstream", "a response"];
    assert_eq!(*diary.lock().expect("the diary"), seen);
}

#[test]
fn once_somebody_is_known_no_other_way_is_asked() {
    let (chain, diary) = chain(&[
        ("who", Stage::Identify, Act::Refuse),
        ("may", Stage::Authorize, Act::Pass),
    ]);
    let mut request = TestRequest::new("GET", "/").who(identity::Principal::default());
    assert!(at_once(request.run(&chain)).is_none());
    assert_eq!(*diary.lock().expect("the diary"), ["may request"]);
}

#[test]
fn a_plugin_that_answers_nothing_says_so() {
    let (chain, _) = chain(&[("a", Stage::Identify, Act::Pass)]);
    let reply = at_once(TestRequest::new("GET", "/").answer(&chain.links()[0]));
    assert_eq!((reply.code(), reply.by), ("not_found", "probe"));
}

#[test]
fn a_stranger_hears_the_first_way_that_has_more_to_say() {
    let challenge = |acts: &[(&'static str, Stage, Act)], mode: Mode| {
        let (chain, _) = chain(acts);
        let mut links = chain.links().to_vec();
        links[0].mode = mode;
        at_once(TestRequest::new("GET", "/").challenge(&Chain::new(links)))
    };
    let heard = [
        ("a", Stage::Identify, Act::Pass),
        ("b", Stage::Identify, Act::Refuse),
    ];
    assert_eq!(challenge(&heard, Mode::Enforce).expect("b's").by, "probe");
    assert!(challenge(&heard[..1], Mode::Enforce).is_none());
    assert!(challenge(&heard[1..], Mode::Shadow).is_none());
    assert!(challenge(&[("a", Stage::Authorize, Act::Refuse)], Mode::Enforce).is_none());
    let broken = challenge(&[("a", Stage::Identify, Act::Panic)], Mode::Enforce);
    assert_eq!(broken.expect("a 500").code(), "internal");
}

/// A plugin that calls itself something else would escape what is revoked by the table's name.
#[test]
fn a_proof_goes_by_the_name_of_the_table() {
    struct Believes;
    impl crate::Plugin for Believes {
        const NAME: &'static str = "believes";
        const STAGE: Stage = Stage::Identify;
        type Config = ();
        fn build((): (), _: &crate::Env) -> Result<Self, crate::BuildError> {
            Ok(Self)
        }
        fn request(&self, request: &mut Request<'_>) -> Flow {
            let who = Arc::new(identity::Principal::default());
            request.facts.know(who, Arc::new(crate::testing::proof()));
            Flow::Continue
        }
    }
    let chain = Chain::new(vec![Link::new("staff", Arc::new(Believes))]);
    let mut request = TestRequest::new("GET", "/");
    assert!(at_once(request.run(&chain)).is_none());
    assert_eq!(&*request.facts.proof.expect("a proof").way, "staff");
}
