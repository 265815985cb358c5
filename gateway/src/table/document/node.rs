use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::{Location, Spanned};

/// A value and where it begins.
pub(crate) struct Node {
    /// Which of the files it is in; so are its keys.
    pub(super) file: usize,
    pub(super) at: Location,
    pub(super) value: Value,
}

pub(super) enum Value {
    Leaf(Json),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// Says which file it is in, with all that is in it.
    pub(super) fn stamp(&mut self, file: usize) {
        self.file = file;
        match &mut self.value {
            Value::Leaf(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.stamp(file)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.stamp(file)),
        }
    }

    /// The value under a key or, in a list, at an index. Of a key that stands there twice the first.
    pub(crate) fn get(&self, step: &str) -> Option<&Node> {
        match &self.value {
            Value::Leaf(_) => None,
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            Value::Map(entries) => {
                let mut entries = entries.iter();
                entries
                    .find(|(key, _)| key.value == step)
                    .map(|(_, value)| value)
            }
        }
    }

    /// The keys of a map; none of anything else.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries().iter().map(|(key, _)| key.value.as_str())
    }

    /// The elements of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Whether it is a map.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// The same without positions.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Leaf(json) => json.clone(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                let entries = entries.iter().rev();
                entries
                    .map(|(key, value)| (key.value.clone(), value.to_json()))
                    .collect()
            }
        }
    }

    pub(super) fn entries(&self) -> &[(Spanned<String>, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self {
            file: 0,
            at: spanned.referenced,
            value: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Leaf(Json::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Leaf(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Leaf(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Leaf(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Leaf(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Leaf(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Value>>()? {
            entries.push((key, value.into()));
        }
        Ok(Value::Map(entries))
    }
}
