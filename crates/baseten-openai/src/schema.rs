//! JSON schemas in the strict dialect, the one that servers can hold a model to.
//!
//! In it every object lists its members, has all of them and no others, and there are no conditions
//! between schemas but "any of these".

use std::{borrow::Cow, fmt};

use serde_json::{Map, Value};

/// Brings a schema into the strict dialect.
///
/// - Every object has all its members and no others: what may be missing must be there. A member that
///   may be `null`, as an `Option` may, can still say nothing.
/// - `oneOf` becomes `anyOf`, and a `$ref` with a description beside it an `anyOf` of one.
/// - What asserts nothing is left out: `$schema`, `default`, `examples`, formats such as `int32`.
///
/// ```
/// use baseten_openai::strict_schema;
/// use serde_json::json;
///
/// let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
/// assert_eq!(
///     strict_schema(&schema)?,
///     json!({
///         "type": "object", "properties": {"city": {"type": "string"}},
///         "required": ["city"], "additionalProperties": false,
///     })
/// );
/// let error = strict_schema(&json!({"type": "object", "properties": {"any": true}})).unwrap_err();
/// assert_eq!(error.path(), "/properties/any");
/// # Ok::<(), baseten_openai::NotStrict>(())
/// ```
///
/// # Errors
/// [`NotStrict`] names the place of what cannot be expressed: maps with any keys, values of any type,
/// lists of them, tuples, sets, `allOf`, `anyOf` of nothing, lengths of text, references to what is not in
/// the schema, and a root that is no object.
pub fn strict_schema(schema: &Value) -> Result<Value, NotStrict> {
    let strict = Walk { root: schema }.strict(schema, &mut Vec::new())?;
    if strict["type"] != "object" {
        return Err(NotStrict { path: String::new(), problem: "the root is no object".into() });
    }
    Ok(strict)
}

/// A schema that the strict dialect has no words for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStrict {
    path: String,
    problem: Box<str>,
}

impl NotStrict {
    /// Where in the schema, as a JSON pointer.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for NotStrict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem } = self;
        write!(f, "the strict dialect cannot express the schema at `{path}`: {problem}")
    }
}

impl std::error::Error for NotStrict {}

/// Where the walk is, from the root.
type Path<'a> = Vec<Cow<'a, str>>;

struct Walk<'a> {
    /// What references begin at.
    root: &'a Value,
}

impl<'a> Walk<'a> {
    fn strict(&self, schema: &'a Value, path: &mut Path<'a>) -> Result<Value, NotStrict> {
        let Some(schema) = schema.as_object() else {
            return Err(not_strict(path, "any value or none"));
        };
        let mut out = Map::new();
        for (keyword, value) in schema {
            path.push(keyword.into());
            if let Some((keyword, value)) = self.keyword(keyword, value, path)? {
                out.insert(keyword.into(), value);
            }
            path.pop();
        }
        let says = ["type", "enum", "const", "anyOf", "$ref"];
        if !says.iter().any(|keyword| out.contains_key(*keyword)) {
            return Err(not_strict(path, "any value"));
        }
        if is_of("array", &out) && !out.contains_key("items") {
            return Err(not_strict(path, "a list of any values"));
        }
        if is_of("object", &out) {
            close(&mut out, schema, path)?;
        }
        separate_reference(out, path)
    }

    /// One keyword of a schema, in the strict dialect; `None` if it asserts nothing.
    fn keyword(
        &self,
        keyword: &'a str,
        value: &'a Value,
        path: &mut Path<'a>,
    ) -> Result<Option<(&'a str, Value)>, NotStrict> {
        Ok(Some(match keyword {
            "type" | "enum" | "const" | "pattern" | "multipleOf" | "minimum" | "maximum"
            | "exclusiveMinimum" | "exclusiveMaximum" | "minItems" | "maxItems" | "title"
            | "description" => (keyword, value.clone()),
            "$ref" if self.leads_somewhere(value) => (keyword, value.clone()),
            "$ref" => return Err(not_strict(path, "a reference to what is not in the schema")),
            "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                (keyword, value.clone())
            }
            "items" => (keyword, self.strict(value, path)?),
            "properties" | "$defs" | "definitions" => (keyword, self.members(value, path)?),
            "anyOf" | "oneOf" => ("anyOf", self.alternatives(value, path)?),
            "$schema" | "$id" | "$comment" | "default" | "examples" | "deprecated" | "readOnly"
            | "writeOnly" | "format" => return Ok(None),
            // See `close`.
            "required" | "additionalProperties" => return Ok(None),
            _ => return Err(not_strict(path, &format!("it has no `{keyword}`"))),
        }))
    }

    fn members(&self, schemas: &'a Value, path: &mut Path<'a>) -> Result<Value, NotStrict> {
        let mut out = Map::new();
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            path.push(name.into());
            out.insert(name.clone(), self.strict(schema, path)?);
            path.pop();
        }
        Ok(out.into())
    }

    fn alternatives(&self, schemas: &'a Value, path: &mut Path<'a>) -> Result<Value, NotStrict> {
        let mut out = Vec::new();
        for (at, schema) in schemas.as_array().into_iter().flatten().enumerate() {
            path.push(at.to_string().into());
            out.push(self.strict(schema, path)?);
            path.pop();
        }
        if out.is_empty() {
            return Err(not_strict(path, "one of no schemas"));
        }
        Ok(out.into())
    }

    /// Whether there is a schema in this one where a reference leads.
    fn leads_somewhere(&self, reference: &Value) -> bool {
        let Some(place) = reference.as_str().and_then(|text| text.strip_prefix('#')) else {
            return false;
        };
        let place = unescaped(place);
        place.is_some_and(|place| self.root.pointer(&place).is_some_and(Value::is_object))
    }
}

/// A fragment of a URL without its `%` escapes; `None` if they are none.
fn unescaped(fragment: &str) -> Option<String> {
    let mut pieces = fragment.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Formats of text that the dialect knows.
const FORMATS: [&str; 9] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

fn is_of(kind: &str, schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == kind),
        one => one.is_some_and(|one| one == kind),
    }
}

/// Makes an object have all its members and no others.
fn close(
    out: &mut Map<String, Value>,
    schema: &Map<String, Value>,
    path: &Path<'_>,
) -> Result<(), NotStrict> {
    if schema.get("additionalProperties").is_some_and(|others| *others != Value::Bool(false)) {
        return Err(not_strict(path, "members of any name"));
    }
    let properties = out.entry("properties").or_insert_with(|| Map::new().into());
    let names = properties.as_object().into_iter().flat_map(Map::keys).cloned().map(Value::from);
    let names = names.collect();
    out.insert("required".into(), names);
    out.insert("additionalProperties".into(), false.into());
    Ok(())
}

/// Beside a `$ref` nothing may stand.
fn separate_reference(mut schema: Map<String, Value>, path: &Path<'_>) -> Result<Value, NotStrict> {
    let annotated = |name: &String| ["$ref", "title", "description", "$defs"].contains(&&**name);
    if !schema.contains_key("$ref") || schema.len() == 1 {
        return Ok(schema.into());
    }
    if !schema.keys().all(annotated) {
        return Err(not_strict(path, "a reference and something more"));
    }
    let reference = schema.remove_entry("$ref").into_iter().collect::<Map<_, _>>();
    schema.insert("anyOf".into(), vec![Value::from(reference)].into());
    Ok(schema.into())
}

fn not_strict(path: &Path<'_>, problem: &str) -> NotStrict {
    let escaped = path.iter().map(|name| name.replace('~', "~0").replace('/', "~1"));
    let path = escaped.fold(String::new(), |path, name| path + "/" + &name);
    NotStrict { path, problem: problem.into() }
}

/// The strict schema of a type.
#[cfg(feature = "schemars")]
pub(crate) fn of<T: schemars::JsonSchema>() -> Result<Value, NotStrict> {
    let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    strict_schema(generator.into_root_schema_for::<T>().as_value())
}
