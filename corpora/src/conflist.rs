//! Lists of plugins as files in `net.d` hold them, and single configurations as the oldest do.

use cni::Config;
use cni::runtime::NetworkList;

pub(crate) fn target(data: &[u8]) {
    for list in [NetworkList::parse(data), NetworkList::parse_single(data)].into_iter().flatten() {
        let _ = (list.version(), list.disables_check(), list.disables_gc(), list.kinds());
        for plugin in list.plugins() {
            let _ = (plugin.capabilities(), plugin.ipam_kind());
            let Ok(derived) = list.derive(plugin) else { continue };
            // What a plugin is handed is a configuration, though perhaps of a version beyond us.
            if let Err(error) = Config::parse(&derived) {
                let text = String::from_utf8_lossy(&derived);
                assert_eq!(error.code, cni::code::INCOMPATIBLE_VERSION, "{error}: {text}");
            }
        }
    }
}
