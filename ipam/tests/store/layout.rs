//! Tables of a later version.

use std::fs;
use std::os::unix::fs::FileExt;

use ipam::{AllocateError, Durability, Request, Store, StoreError};

use crate::fixtures::{Folder, host, owner, sets};

fn set_layout(path: &std::path::Path, layout: u32) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&layout.to_le_bytes(), 8).unwrap();
}

fn refusal(store: &Store) -> StoreError {
    let pool = sets(&[&["10.0.0.0/24"]]);
    match store.allocate(&Request::new(&pool, &owner("c9")), &host(1, 0)).unwrap_err() {
        AllocateError::Store(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn add_refuses_a_newer_layout_naming_both_and_del_and_gc_still_work() {
    let pool = sets(&[&["10.0.0.0/24"], &["fd00::/64"]]);
    let folder = Folder::new();
    let now = host(1, 0);
    for (store, file) in folder.stores().into_iter().zip([folder.table_file(), folder.index()]) {
        let long = "x".repeat(500);
        for name in ["c1", "c2", "c3", &long] {
            store.allocate(&Request::new(&pool, &owner(name)), &now).unwrap();
        }
        set_layout(&file, 7);
        let error = refusal(&store);
        assert_eq!(
            error.to_string(),
            format!(
                "lease table {} has layout 7 of a newer cais, this one knows layouts up to 1",
                file.display()
            )
        );
        assert!(error.hint().unwrap().contains("DEL and GC work"), "{error:?}");
        assert_eq!(store.held(&now).unwrap(), 8);
        assert_eq!(store.leases_of(&owner(&long), &now).unwrap().len(), 2);
        assert_eq!(store.release(&owner("c2"), Durability::Lazy, &now).unwrap().len(), 2);
        assert_eq!(store.release(&owner(&long), Durability::Lazy, &now).unwrap().len(), 2);
        let ended =
            store.gc(&|lease| lease.owner.container != "c3", Durability::Lazy, &now).unwrap();
        assert_eq!(ended.len(), 2);
        // Back in the hands of the version that wrote it, which finds what was done.
        set_layout(&file, 1);
        let left = store.leases(&now).unwrap();
        assert!(left.iter().all(|lease| lease.owner == owner("c1")), "{left:?}");
        assert_eq!(left.len(), 2);
        let grants = store.allocate(&Request::new(&pool, &owner("c4")), &now).unwrap();
        assert_eq!(grants[0].address.to_string(), "10.0.0.6/24");
    }
}
