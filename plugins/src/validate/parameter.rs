use std::borrow::Cow;

use http::HeaderName;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use jsonschema::Validator;
use plugin_sdk::{BuildError, Head};
use serde_json::Value;

use super::document::Operation;
use super::{MAX_ERRORS, describe};

mod scalar;

use scalar::Scalar;

/// What is wrong with a request, and where: `query/limit`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: String,
    pub(super) detail: String,
    /// The problem's code, where the fault has one of its own.
    pub(super) code: Option<&'static str>,
}

/// The parameters of an operation.
pub(super) struct Parameters {
    path: Vec<Segment>,
    query: Vec<Parameter>,
    headers: Vec<(HeaderName, Parameter)>,
    cookies: Vec<Parameter>,
}

/// A segment of the operation's path.
enum Segment {
    Literal(String),
    Parameter(Parameter),
}

struct Parameter {
    name: String,
    required: bool,
    list: List,
    scalar: Scalar,
    schema: Validator,
}

/// Whether it holds one value or several, and how several are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    One,
    /// `a=1&a=2`
    Repeated,
    /// `a=1,2`
    Commas,
}

impl Parameters {
    pub(super) fn build(operation: &Operation<'_>) -> Result<Self, BuildError> {
        let mut path = Vec::new();
        let mut query = Vec::new();
        let mut headers = Vec::new();
        let mut cookies = Vec::new();
        for (place, parameter) in declared(operation)? {
            let known = Parameter::build(operation, place, parameter)?;
            match place {
                "path" => path.push(known),
                "query" => query.push(known),
                "header" => {
                    let name: HeaderName = known.name.parse().map_err(|_| {
                        operation.fault(format!("`{}` is no header name", known.name))
                    })?;
                    // OpenAPI 3.1 §4.8.12.2.1: these are described elsewhere, and not here.
                    if ![ACCEPT, CONTENT_TYPE, AUTHORIZATION].contains(&name) {
                        headers.push((name, known));
                    }
                }
                "cookie" => cookies.push(known),
                _ => {}
            }
        }
        let path = segments(operation, path)?;
        Ok(Self {
            path,
            query,
            headers,
            cookies,
        })
    }

    /// What is wrong with a request's head, at most a handful.
    pub(super) fn judge(&self, head: &Head<'_>) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.judge_path(head.forwarded, &mut faults);
        self.judge_query(head.query.unwrap_or_default(), &mut faults);
        for (name, parameter) in &self.headers {
            let values = head.headers.get_all(name).iter();
            let values: Vec<_> = values
                .map(|value| value.to_str().ok().map(|text| Cow::Borrowed(text.trim())))
                .collect();
            parameter.judge("header", &values, &mut faults);
        }
        self.judge_cookies(head, &mut faults);
        faults.truncate(MAX_ERRORS);
        faults
    }

    /// A client on HTTP/2 sends cookies in crumbs; a backend gets them in one line.
    fn judge_cookies(&self, head: &Head<'_>, faults: &mut Vec<Fault>) {
        if self.cookies.is_empty() {
            return;
        }
        let lines = head.headers.get_all(COOKIE).iter();
        let pairs: Vec<(&str, &str)> = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .collect();
        for parameter in &self.cookies {
            let values = pairs.iter().filter(|(name, _)| *name == parameter.name);
            let values: Vec<_> = values.map(|(_, value)| decode(value, false)).collect();
            parameter.judge("cookie", &values, faults);
        }
    }

    fn judge_path(&self, path: &str, faults: &mut Vec<Fault>) {
        let given = path.split('/').skip(1);
        if given.clone().count() != self.path.len() {
            faults.push(fault("path", "is not the operation's path"));
            return;
        }
        for (given, segment) in given.zip(&self.path) {
            match segment {
                Segment::Parameter(parameter) => {
                    parameter.judge("path", &[decode(given, false)], faults);
                }
                Segment::Literal(literal) if literal == given => {}
                Segment::Literal(_) => faults.push(fault("path", "is not the operation's path")),
            }
        }
    }

    fn judge_query(&self, query: &str, faults: &mut Vec<Fault>) {
        let mut given: Vec<Vec<Option<Cow<'_, str>>>> = vec![Vec::new(); self.query.len()];
        for pair in query.split('&').filter(|_| !query.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true);
            let known = self
                .query
                .iter()
                .position(|known| name.as_deref() == Some(&known.name));
            match known {
                Some(index) => given[index].push(decode(value, true)),
                None if faults.len() < MAX_ERRORS => {
                    let name: String = name.as_deref().unwrap_or("?").chars().take(40).collect();
                    faults.push(fault(&format!("query/{name}"), "is not a parameter here"));
                }
                None => return,
            }
        }
        for (parameter, values) in self.query.iter().zip(&given) {
            parameter.judge("query", values, faults);
        }
    }
}

impl Parameter {
    fn build(operation: &Operation<'_>, place: &str, value: &Value) -> Result<Self, BuildError> {
        let name = value["name"].as_str().unwrap_or_default();
        let what = format!("the {place} parameter `{name}`");
        let schema = &value["schema"];
        if schema.is_null() {
            return Err(operation.fault(format!("{what} has no schema")));
        }
        let usual = match place {
            "query" | "cookie" => "form",
            _ => "simple",
        };
        if value["style"].as_str().is_some_and(|style| style != usual) {
            return Err(operation.fault(format!("{what} is written in a style not known here")));
        }
        let resolved = operation.resolve(schema)?;
        let is_list = resolved["type"] == "array";
        let list = match (is_list, place, value["explode"].as_bool()) {
            (false, ..) => List::One,
            (true, "query", Some(true) | None) => List::Repeated,
            (true, ..) => List::Commas,
        };
        let scalar = if is_list {
            &resolved["items"]
        } else {
            resolved
        };
        Ok(Self {
            name: name.to_owned(),
            // A default says what its absence means, so it may be absent.
            required: value["required"] == true && resolved.get("default").is_none(),
            list,
            scalar: Scalar::of(operation.document, scalar),
            schema: operation.compile(schema, &what)?,
        })
    }

    /// Judges the values under the parameter's name; a value that is no text is `None`.
    fn judge(&self, place: &str, values: &[Option<Cow<'_, str>>], faults: &mut Vec<Fault>) {
        let at = || format!("{place}/{}", self.name);
        if values.is_empty() {
            if self.required {
                let own_code = self.name.eq_ignore_ascii_case("idempotency-key");
                faults.push(Fault {
                    code: own_code.then_some("idempotency_key_required"),
                    ..fault(&at(), "is missing")
                });
            }
            return;
        }
        let Some(texts) = values
            .iter()
            .map(Option::as_deref)
            .collect::<Option<Vec<&str>>>()
        else {
            faults.push(fault(&at(), "is not UTF-8, or not encoded as a URL has it"));
            return;
        };
        let value = match (self.list, &texts[..]) {
            (List::Repeated, texts) => texts.iter().map(|text| self.scalar.read(text)).collect(),
            (_, [_, _, ..]) => {
                faults.push(fault(&at(), "is there more than once"));
                return;
            }
            (List::Commas, texts) => texts
                .iter()
                .flat_map(|text| text.split(','))
                .map(|text| self.scalar.read(text.trim()))
                .collect(),
            (List::One, texts) => self.scalar.read(texts[0]),
        };
        if let Err(error) = self.schema.validate(&value) {
            faults.push(fault(&at(), &describe(&error)));
        }
    }
}

fn fault(at: &str, detail: &str) -> Fault {
    Fault {
        at: at.to_owned(),
        detail: detail.to_owned(),
        code: None,
    }
}

/// The operation's parameters with their places; its own override those of its path.
fn declared<'a>(operation: &'a Operation<'_>) -> Result<Vec<(&'a str, &'a Value)>, BuildError> {
    let mut all: Vec<(&str, &Value)> = Vec::new();
    for list in [
        &operation.item["parameters"],
        &operation.value["parameters"],
    ] {
        for parameter in list.as_array().into_iter().flatten() {
            let parameter = operation.resolve(parameter)?;
            let place = parameter["in"].as_str().unwrap_or_default();
            all.retain(|(other, known)| (*other, &known["name"]) != (place, &parameter["name"]));
            all.push((place, parameter));
        }
    }
    Ok(all)
}

fn segments(
    operation: &Operation<'_>,
    mut parameters: Vec<Parameter>,
) -> Result<Vec<Segment>, BuildError> {
    let mut segments = Vec::new();
    for segment in operation.template.split('/').skip(1) {
        let name = segment
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        segments.push(match name {
            None => Segment::Literal(segment.to_owned()),
            Some(name) => {
                let at = parameters.iter().position(|known| known.name == name);
                let at = at.ok_or_else(|| {
                    operation.fault(format!("the path parameter `{name}` is not described"))
                })?;
                Segment::Parameter(parameters.swap_remove(at))
            }
        });
    }
    match parameters.first() {
        None => Ok(segments),
        Some(left) => Err(operation.fault(format!(
            "the path parameter `{}` is no segment of {}",
            left.name, operation.template
        ))),
    }
}

/// The text that a part of a URL stands for; `None` when it is malformed or no UTF-8.
fn decode(part: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    if !part.contains(['%', '+']) {
        return Some(Cow::Borrowed(part));
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = (rest.next()? as char).to_digit(16)?;
                let low = (rest.next()? as char).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
