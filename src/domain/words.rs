//! Enums whose values are stored and shown as words.

/// Declares an enum together with `ALL`, `as_str`, `parse`, its JSON and its schema. A last variant behind
/// a semicolon holds a word of its own; it is not in `ALL` and never parsed.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $variant:ident = $word:literal,)+
        $(; $(#[$other_doc:meta])* $other:ident(&'static str))?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[$doc])* $variant,)+
            $($(#[$other_doc])* $other(&'static str),)?
        }

        impl $name {
            /// All values with a fixed word, in the order people read them.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// Word in the store, the API and the logs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    $(Self::$other(word) => word,)?
                }
            }

            /// Reads a word. `None`: the word is unknown here, perhaps of another version.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == word)
            }

            /// Schema in the API: a text, one of the words.
            pub fn schema() -> utoipa::openapi::Object {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::Type::String)
                    .enum_values(Some(Self::ALL.map(Self::as_str)))
                    .build()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;
