use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

/// Why a file of peers, of a node or of an endpoint cannot be used.
#[derive(Debug)]
pub enum Error {
    /// It cannot be read or written.
    File {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another version wrote it.
    Layout {
        /// The number in it; `None` where it has none.
        found: Option<u32>,
    },
    /// It is not what it should be.
    Invalid(String),
    /// No host of the file is this one.
    NotListed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { verb, path, source } => {
                write!(f, "{verb} {}: {source}", path.display())
            }
            Self::Layout { found: Some(found) } => {
                write!(f, "key \"v\": layout {found}, this program reads {}", crate::LAYOUT)
            }
            Self::Layout { found: None } => {
                write!(f, "key \"v\": missing; this program reads layout {}", crate::LAYOUT)
            }
            Self::Invalid(why) | Self::NotListed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Reads what is of our layout.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    check_layout(bytes)?;
    serde_json::from_slice(bytes).map_err(|why| invalid(&why))
}

/// The layout number before anything else: another layout may lack every other key.
fn check_layout(bytes: &[u8]) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    struct Only {
        v: Option<u32>,
    }
    let Only { v } = serde_json::from_slice(bytes).map_err(|why| invalid(&why))?;
    if v == Some(crate::LAYOUT) { Ok(()) } else { Err(Error::Layout { found: v }) }
}

fn invalid(why: &serde_json::Error) -> Error {
    Error::Invalid(why.to_string())
}
