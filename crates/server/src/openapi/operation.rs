//! One operation as a surface describes it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::parameter::Extra;

/// Finds the schema of a type within a document.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What one method of one path does.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Lower case, as the document wants it.
    pub(crate) method: &'static str,
    /// With its parameters in braces.
    pub(crate) path: &'static str,
    /// One line without a full stop.
    pub(crate) summary: &'static str,
    pub(crate) tag: &'static str,
    pub(super) description: Option<&'static str>,
    pub(super) is_open: bool,
    pub(super) query: Option<SchemaOf>,
    pub(super) extra: Vec<Extra>,
    pub(super) body: Option<RequestBody>,
    pub(super) answers: Vec<Answer>,
    pub(super) refusals: Vec<u16>,
    /// The query of the example, without the question mark.
    pub(super) example_query: Option<&'static str>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct RequestBody {
    pub(super) media: &'static str,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    /// What the example sends; a text beginning with `@` is a file.
    pub(super) example: Option<Value>,
}

/// What comes back when all is well.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    /// Media type and shape; none for an answer without a body.
    pub(super) content: Option<(&'static str, Shape)>,
}

/// What content is like.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// JSON by a type.
    Typed(SchemaOf),
    /// Bytes of the media type.
    Bytes,
    /// Text of the media type.
    Text,
    /// Fields of a form, each with whether it is required and whether it is a file.
    Form(&'static [FormField]),
}

/// One field of a form: name, description, whether it must be there, whether it is a file.
pub(super) type FormField = (&'static str, &'static str, bool, bool);

const JSON: &str = "application/json";

/// Operations that stand together in the documentation.
pub(crate) fn tagged<const N: usize>(tag: &'static str, operations: [Operation; N]) -> Vec<Operation> {
    operations.into_iter().map(|operation| Operation { tag, ..operation }).collect()
}

macro_rules! methods {
    ($($method:ident)*) => {
        $(
            #[doc = concat!("`", stringify!($method), "` of a path, and what it does in one line.")]
            pub(crate) fn $method(path: &'static str, summary: &'static str) -> Self {
                Self::new(stringify!($method), path, summary)
            }
        )*
    };
}

impl Operation {
    methods!(get head options post put patch delete);

    fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            summary,
            tag: "",
            description: None,
            is_open: false,
            query: None,
            extra: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            example_query: None,
        }
    }

    /// What is to be known beyond the summary; Markdown.
    pub(crate) fn about(mut self, text: &'static str) -> Self {
        self.description = Some(text);
        self
    }

    /// Needs no credential.
    pub(crate) fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Takes the fields of `T` in its query.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// The query that its example has, as it is written in an address.
    pub(crate) fn example_query(mut self, query: &'static str) -> Self {
        self.example_query = Some(query);
        self
    }

    /// Takes a parameter that no struct holds.
    pub(crate) fn takes(mut self, parameter: Extra) -> Self {
        self.extra.push(parameter);
        self
    }

    /// Takes parameters that no struct holds.
    pub(crate) fn takes_all(mut self, parameters: impl IntoIterator<Item = Extra>) -> Self {
        self.extra.extend(parameters);
        self
    }

    /// Reads a JSON body.
    pub(crate) fn body<T: JsonSchema>(self, example: Value) -> Self {
        self.sends(JSON, Shape::Typed(SchemaGenerator::subschema_for::<T>), true, Some(example))
    }

    /// Reads a JSON body that may be left out.
    pub(crate) fn optional_body<T: JsonSchema>(self, example: Value) -> Self {
        self.sends(JSON, Shape::Typed(SchemaGenerator::subschema_for::<T>), false, Some(example))
    }

    /// Reads a multipart form; the example has a value for each field, `@name` sends a file.
    pub(crate) fn form(self, fields: &'static [FormField], example: Value) -> Self {
        self.sends("multipart/form-data", Shape::Form(fields), true, Some(example))
    }

    /// Reads bytes; the example sends a file.
    pub(crate) fn bytes_body(self, media: &'static str, is_required: bool, example: Option<Value>) -> Self {
        self.sends(media, Shape::Bytes, is_required, example)
    }

    fn sends(mut self, media: &'static str, shape: Shape, is_required: bool, example: Option<Value>) -> Self {
        self.body = Some(RequestBody { media, shape, is_required, example });
        self
    }

    /// Answers 200 with JSON.
    pub(crate) fn json<T: JsonSchema>(self) -> Self {
        self.answers::<T>(200, "Done")
    }

    /// Answers a status with JSON.
    pub(crate) fn answers<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.with(status, description, Some((JSON, Shape::Typed(SchemaGenerator::subschema_for::<T>))))
    }

    /// Answers a status without a body.
    pub(crate) fn empty(self, status: u16, description: &'static str) -> Self {
        self.with(status, description, None)
    }

    /// Answers 200 with bytes.
    pub(crate) fn bytes(self, media: &'static str, description: &'static str) -> Self {
        self.with(200, description, Some((media, Shape::Bytes)))
    }

    /// Answers a part of the bytes to a `Range` (206), nothing new to `If-None-Match` (304).
    pub(crate) fn by_range(self, media: &'static str) -> Self {
        self.bytes(media, "The bytes")
            .with(206, "The part that `Range` asks for", Some((media, Shape::Bytes)))
            .empty(304, "The bytes that `If-None-Match` names are still the same")
            .empty(416, "There is no such part")
            .takes(Extra::header("Range", "The part that is wanted, as `bytes=0-1023`"))
            .takes(Extra::header("If-None-Match", "The `ETag` of the bytes that the client has"))
    }

    /// Answers 200 with text.
    pub(crate) fn text(self, media: &'static str, description: &'static str) -> Self {
        self.with(200, description, Some((media, Shape::Text)))
    }

    /// Answers a stream of server-sent events that does not end by itself.
    pub(crate) fn event_stream(self, description: &'static str) -> Self {
        self.text("text/event-stream", description)
    }

    fn with(
        mut self,
        status: u16,
        description: &'static str,
        content: Option<(&'static str, Shape)>,
    ) -> Self {
        self.answers.push(Answer { status, description, content });
        self
    }

    /// May be refused with these, beyond what follows from its path, query and body.
    pub(crate) fn refuses<const N: usize>(mut self, statuses: [u16; N]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// Whether its answer does not end by itself.
    pub(crate) fn is_stream(&self) -> bool {
        self.answers
            .iter()
            .any(|answer| answer.content.as_ref().is_some_and(|(media, _)| *media == "text/event-stream"))
    }

    /// The names in the braces of its path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name)
    }

    /// Its name for programs: the method and the words of its path.
    pub(crate) fn id(&self) -> String {
        let words =
            self.path.split(['/', '-', '.']).filter(|word| !matches!(*word, "" | "api" | "admin" | "v1"));
        let words: Vec<&str> = words.map(|word| word.trim_matches(['{', '}'])).collect();
        let end = if self.path.ends_with('/') { "_" } else { "" };
        format!("{}_{}{end}", self.method, words.join("_"))
    }
}
