//! Results of plugins in the shape of a version (the first byte), and their way to all the others.

use cni::{AddResult, ResultShape, Version};

pub(crate) fn target(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let version = Version::ALL[usize::from(*first) % Version::ALL.len()];
    let Ok(result) = AddResult::parse(text, version) else { return };
    for other in Version::ALL {
        let Ok(written) = result.encode(other, ResultShape::OfVersion) else { continue };
        let told = || String::from_utf8_lossy(&written).into_owned();
        let read = AddResult::parse(&written, other)
            .unwrap_or_else(|error| panic!("{other} cannot be read again: {error}: {}", told()));
        let again = read.encode(other, ResultShape::OfVersion);
        assert_eq!(again.as_ref().map(Vec::as_slice), Ok(&*written), "{other} changes: {}", told());
    }
}
