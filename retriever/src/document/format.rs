//! The formats that are read: one table of their names, media types and file name extensions.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// How a document's content is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Plain text.
    #[default]
    Text,
    /// `CommonMark` with tables, and YAML front matter.
    Markdown,
    /// HTML, of which the text is kept.
    Html,
    /// PDF, of which the text is kept, page by page.
    Pdf,
    /// A Word document.
    Docx,
    /// A `PowerPoint` presentation; slides are pages.
    Pptx,
    /// A workbook of Excel or `LibreOffice`.
    Spreadsheet,
    /// Values with a delimiter between them, one row a line.
    Csv,
    /// JSON, one record a line or in one array.
    JsonLines,
    /// An e-mail message.
    Mail,
    /// Source code, or another text that a machine reads.
    Code,
}

struct Known {
    format: Format,
    name: &'static str,
    /// The first is the one to announce.
    media_types: &'static [&'static str],
    extensions: &'static [&'static str],
}

const FORMATS: [Known; 11] = [
    Known {
        format: Format::Text,
        name: "text",
        media_types: &["text/plain"],
        extensions: &["txt", "text", "rst", "adoc", "log"],
    },
    Known {
        format: Format::Markdown,
        name: "markdown",
        media_types: &["text/markdown", "text/x-markdown"],
        extensions: &["md", "markdown", "mdown"],
    },
    Known {
        format: Format::Html,
        name: "html",
        media_types: &["text/html", "application/xhtml+xml"],
        extensions: &["html", "htm", "xhtml", "aspx"],
    },
    Known {
        format: Format::Pdf,
        name: "pdf",
        media_types: &["application/pdf"],
        extensions: &["pdf"],
    },
    Known {
        format: Format::Docx,
        name: "docx",
        media_types: &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        extensions: &["docx", "docm"],
    },
    Known {
        format: Format::Pptx,
        name: "pptx",
        media_types: &["application/vnd.openxmlformats-officedocument.presentationml.presentation"],
        extensions: &["pptx", "pptm"],
    },
    Known {
        format: Format::Spreadsheet,
        name: "spreadsheet",
        media_types: &[
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.ms-excel",
            "application/vnd.oasis.opendocument.spreadsheet",
        ],
        extensions: &["xlsx", "xlsm", "xls", "ods"],
    },
    Known {
        format: Format::Csv,
        name: "csv",
        media_types: &["text/csv", "text/tab-separated-values"],
        extensions: &["csv", "tsv"],
    },
    Known {
        format: Format::JsonLines,
        name: "jsonlines",
        media_types: &[
            "application/jsonl",
            "application/x-ndjson",
            "application/x-jsonlines",
            "application/json",
        ],
        extensions: &["jsonl", "ndjson", "json"],
    },
    Known {
        format: Format::Mail,
        name: "mail",
        media_types: &["message/rfc822"],
        extensions: &["eml"],
    },
    Known {
        format: Format::Code,
        name: "code",
        media_types: &[
            "text/x-source",
            "text/x-python",
            "text/x-rust",
            "text/x-c",
            "text/x-java-source",
            "text/javascript",
            "text/css",
            "text/xml",
            "application/xml",
            "application/yaml",
            "application/toml",
            "application/sql",
            "application/x-sh",
        ],
        extensions: &[
            "rs",
            "py",
            "pyi",
            "js",
            "mjs",
            "cjs",
            "jsx",
            "ts",
            "tsx",
            "go",
            "java",
            "kt",
            "kts",
            "scala",
            "c",
            "h",
            "cc",
            "cpp",
            "cxx",
            "hh",
            "hpp",
            "cs",
            "fs",
            "swift",
            "m",
            "rb",
            "php",
            "pl",
            "pm",
            "lua",
            "r",
            "jl",
            "hs",
            "ml",
            "ex",
            "exs",
            "erl",
            "clj",
            "dart",
            "sh",
            "bash",
            "zsh",
            "fish",
            "ps1",
            "bat",
            "sql",
            "css",
            "scss",
            "vue",
            "svelte",
            "yaml",
            "yml",
            "toml",
            "ini",
            "cfg",
            "conf",
            "properties",
            "proto",
            "graphql",
            "tf",
            "cmake",
            "gradle",
            "xml",
        ],
    },
];

impl Format {
    fn known(self) -> &'static Known {
        FORMATS
            .iter()
            .find(|known| known.format == self)
            .unwrap_or(&FORMATS[0])
    }

    /// The name that errors, the catalogue and the API use.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.known().name
    }

    /// The media type to announce.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        self.known().media_types[0]
    }

    /// By the name that [`Format::name`] gives.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let known = FORMATS.iter().find(|known| known.name == name);
        known.map(|known| known.format)
    }

    /// By MIME type, parameters ignored; `None` for a type that no reader knows.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        let known = FORMATS
            .iter()
            .find(|known| known.media_types.contains(&kind.as_str()));
        known.map(|known| known.format)
    }

    /// By file name extension; `None` for one that no reader knows.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let known = FORMATS
            .iter()
            .find(|known| known.extensions.contains(&extension.as_str()));
        known.map(|known| known.format)
    }

    /// The media type to announce of every format.
    pub(crate) fn media_types() -> Vec<&'static str> {
        FORMATS.iter().map(|known| known.media_types[0]).collect()
    }

    /// Whether it is a file of a format that is not text.
    #[must_use]
    pub fn is_file(self) -> bool {
        matches!(
            self,
            Self::Pdf | Self::Docx | Self::Pptx | Self::Spreadsheet
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells_the_format() {
        assert_eq!(
            Format::from_content_type("Text/HTML; charset=utf-8"),
            Some(Format::Html)
        );
        assert_eq!(Format::from_content_type("image/png"), None);
    }

    #[test]
    fn each_format_is_found_by_its_name_its_types_and_its_extensions_alone() {
        for (place, known) in FORMATS.iter().enumerate() {
            assert_eq!(known.format.name(), known.name);
            assert_eq!(Format::from_name(known.name), Some(known.format));
            let json = serde_json::to_string(&known.format).unwrap();
            assert_eq!(json, format!("\"{}\"", known.name));
            for kind in known.media_types {
                assert_eq!(
                    Format::from_content_type(kind),
                    Some(known.format),
                    "{kind}"
                );
            }
            for extension in known.extensions {
                let path = format!("a/b.{}", extension.to_uppercase());
                assert_eq!(Format::from_path(Path::new(&path)), Some(known.format));
            }
            assert!(
                FORMATS[..place]
                    .iter()
                    .all(|other| other.format != known.format)
            );
        }
        assert_eq!(Format::from_name("word"), None);
        assert_eq!(Format::from_path(Path::new("Makefile")), None);
    }
}
