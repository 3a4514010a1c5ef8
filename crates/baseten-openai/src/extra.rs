//! The members of a JSON object that no field names.

use serde_json::{Map, Value};

/// Members that no field of the type names. They survive a round trip; in a request they are how to
/// send what this crate does not know.
pub type Extra = Map<String, Value>;

/// Puts `patch` over `base`: objects member by member, everything else by replacing.
pub(crate) fn merge(base: &mut Extra, patch: &Extra) {
    for (key, value) in patch {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(patch)) => merge(base, patch),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// `Serialize` for a request whose `extra` goes over its own fields, with any depth. Needs the derives
/// to be `#[serde(remote = "Self")]` and `extra` to be `#[serde(flatten, skip_serializing)]`.
macro_rules! extra_over_fields {
    ($request:ident) => {
        impl ::serde::Serialize for $request {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.extra.is_empty() {
                    return Self::serialize(self, serializer);
                }
                let mut body = Self::serialize(self, ::serde_json::value::Serializer)
                    .map_err(::serde::ser::Error::custom)?;
                if let Some(body) = body.as_object_mut() {
                    $crate::extra::merge(body, &self.extra);
                }
                body.serialize(serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $request {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                // By way of a value: what is flattened is read from what has been read already, and cannot
                // take numbers as `serde_json` keeps them with `arbitrary_precision`.
                let value = ::serde_json::Value::deserialize(deserializer)?;
                Self::deserialize(value).map_err(::serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use extra_over_fields;

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::json;

    #[test]
    fn objects_are_merged_and_all_else_replaced() {
        let mut base = json!({"a": {"x": 1, "y": [1]}, "b": 2, "c": {"z": 1}});
        let patch = json!({"a": {"y": [2], "w": null}, "b": {"v": 1}, "c": 3, "d": 4});
        merge(base.as_object_mut().unwrap(), patch.as_object().unwrap());
        assert_eq!(
            base,
            json!({"a": {"x": 1, "y": [2], "w": null}, "b": {"v": 1}, "c": 3, "d": 4})
        );
    }
}
