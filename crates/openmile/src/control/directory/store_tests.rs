//! What is stored comes back, and what cannot be read is left as it is.

use std::path::Path;

use contract::{Asn, VlanTags, WallTime};
use subscriber::ServiceRecord;

use super::*;

fn record(n: u64) -> Record {
    let service = ServiceRecord {
        isp: Asn(64501),
        port: "line1".to_owned(),
        tags: VlanTags::None,
        mac: n.is_multiple_of(2).then_some(contract::MacAddr([2, 0, 0, 0, 0, n as u8])),
        plan: n.is_multiple_of(3).then(|| "gold".to_owned()),
        prefixes: vec![
            format!("10.0.{}.{}/32", n / 256, n % 256).parse().unwrap(),
            "2001:db8::/56".parse().unwrap(),
        ],
        leaving_until: n.is_multiple_of(5).then_some(WallTime(n)),
    };
    Record { name: format!("line-{n}"), services: vec![service] }
}

fn file(base: &Path) -> DirectoryFile {
    DirectoryFile::new(StateDir::new(base, "head1"))
}

fn load(base: &Path) -> Result<(Vec<Write>, SubscriberId), StoreError> {
    let mut all = Vec::new();
    let next = file(base).load(&mut |id, record| all.push((id, Some(record))))?;
    Ok((all, next))
}

fn stored(base: &Path, count: u64) -> Vec<Write> {
    let writes: Vec<Write> = (0..count).map(|n| (SubscriberId(n), Some(record(n)))).collect();
    file(base).commit(SubscriberId(count), &mut writes.clone().into_iter()).unwrap();
    writes
}

#[test]
fn what_is_stored_comes_back() {
    let base = tempfile::tempdir().unwrap();
    assert_eq!(load(base.path()).unwrap(), (Vec::new(), SubscriberId(0)), "a new file is empty");
    let mut writes = stored(base.path(), 1000);
    assert_eq!(load(base.path()).unwrap(), (writes.clone(), SubscriberId(1000)));
    let other = (SubscriberId(7), Some(record(1007)));
    let mut file = file(base.path());
    file.commit(SubscriberId(1001), &mut [(SubscriberId(3), None), other.clone()].into_iter()).unwrap();
    drop(file);
    writes[7] = other;
    writes.remove(3);
    assert_eq!(load(base.path()).unwrap(), (writes, SubscriberId(1001)));
    let mode = std::os::unix::fs::PermissionsExt::mode;
    let of = |path: &Path| mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777;
    let dir = StateDir::new(base.path(), "head1");
    assert_eq!((of(dir.subscribers().parent().unwrap()), of(&dir.subscribers())), (0o750, 0o640));
}

#[test]
fn a_damaged_file_is_an_error_and_is_left_as_it_is() {
    let base = tempfile::tempdir().unwrap();
    stored(base.path(), 2000);
    let path = StateDir::new(base.path(), "head1").subscribers();
    let whole = std::fs::read(&path).unwrap();
    let cut = whole[..whole.len() / 2].to_vec();
    let mut middle = whole.clone();
    // Every page that holds records; redb keeps a checksum of each.
    for octet in &mut middle[8192..] {
        *octet ^= 0x55;
    }
    let garbage: Vec<u8> = (0..70_000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    for (what, damaged) in [("cut", cut), ("middle", middle), ("garbage", garbage), ("empty", Vec::new())] {
        std::fs::write(&path, &damaged).unwrap();
        let error = load(base.path()).err().unwrap_or_else(|| panic!("{what} was read"));
        assert!(error.to_string().contains("subscribers.redb"), "{what}: {error}");
        let refused =
            file(base.path()).commit(SubscriberId(1), &mut std::iter::once((SubscriberId(0), None)));
        assert!(refused.is_err(), "{what} was written to");
        assert!(std::fs::read(&path).unwrap() == damaged, "{what} was changed");
        // Whoever brings the file back goes on with it.
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(load(base.path()).unwrap().0.len(), 2000, "{what}");
    }
}

#[test]
fn another_schema_is_not_read() {
    let base = tempfile::tempdir().unwrap();
    stored(base.path(), 1);
    let path = StateDir::new(base.path(), "head1").subscribers();
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("schema", SCHEMA + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(load(base.path()), Err(StoreError::Schema { found: 2, .. })));
}

#[test]
fn where_there_can_be_no_file_is_said() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("head1"), "not a directory").unwrap();
    let error = load(base.path()).unwrap_err().to_string();
    assert!(error.contains("head1"), "{error}");
}
