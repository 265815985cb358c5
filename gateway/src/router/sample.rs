use http::{HeaderMap, HeaderValue, Method};

use super::{Host, Match, Segment, Wanted};

/// What stands in for a parameter, or for whatever comes below `/**`.
const STAND_IN: &str = "x1";

/// A request that a rule takes, made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The method.
    pub method: Method,
    /// The host; `None` when any will do.
    pub host: Option<String>,
    /// The path.
    pub path: String,
    /// The query, without the `?`.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
}

impl Match {
    /// One request for each method that the rule takes.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        self.methods
            .iter()
            .map(|method| self.sample(method.clone()))
    }

    fn sample(&self, method: Method) -> Sample {
        let mut path: String = self
            .path
            .segments()
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Param(_) => format!("/{STAND_IN}"),
            })
            .collect();
        if self.path.has_tail() || path.is_empty() {
            path += "/";
        }
        if self.path.has_tail() {
            path += STAND_IN;
        }
        let headers = self.conditions.headers.iter().map(|(name, wanted)| {
            let value = HeaderValue::from_str(stand_in(wanted));
            (
                name.clone(),
                value.unwrap_or(HeaderValue::from_static(STAND_IN)),
            )
        });
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, wanted) in &self.conditions.query {
            query.append_pair(name, stand_in(wanted));
        }
        Sample {
            method,
            host: match &self.host {
                Host::Exact(host) => Some(host.to_string()),
                Host::Below(suffix) => Some(format!("{STAND_IN}{suffix}")),
                Host::Any => None,
            },
            path,
            query: Some(query.finish()).filter(|query| !query.is_empty()),
            headers: headers.collect(),
        }
    }
}

fn stand_in(wanted: &Wanted) -> &str {
    match wanted {
        Wanted::OneOf(values) => values.first().map_or(STAND_IN, |value| value),
        Wanted::Present => STAND_IN,
    }
}
