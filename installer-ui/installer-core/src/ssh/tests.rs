// SPDX-License-Identifier: MIT OR Apache-2.0
//! What kernel command lines ask for.

use super::*;
use crate::steps::chain;

const WORD_OF_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJYcPSwnBDlNJr6nmIcRzLQFmMYUmFCfGXEHCWCrFiOs";

fn random() -> Uuid {
    "00112233-4455-4677-8899-aabbccddeeff".parse().unwrap()
}

fn proof(line: &str) -> Result<Option<Proof>, BadRequest> {
    Proof::of(line, random())
}

#[test]
fn nothing_is_open_unless_it_is_asked_for() {
    for line in ["quiet", "xenith.ssh-password=hunter22", "xenith.sshd", "xenith.ssh=yes"] {
        assert_eq!(proof(line), Ok(None), "{line}");
    }
}

#[test]
fn a_password_a_key_or_neither() {
    let Ok(Some(Proof::Random(password))) = proof("quiet xenith.ssh\n") else { panic!() };
    assert_eq!(password, "9z55-pgrz-kpgt");
    let given = Proof::Given("hunter22".to_owned());
    assert_eq!(proof("xenith.ssh xenith.ssh-password=\"hunter22\""), Ok(Some(given)));
    let key = proof(&format!("xenith.ssh xenith.ssh-key={WORD_OF_KEY}")).unwrap().unwrap();
    assert_eq!(key.authorized_keys(), format!("ssh-ed25519 {WORD_OF_KEY}\n"));
    for (line, text) in [
        ("xenith.ssh xenith.ssh-password=short", "cannot be used: the password is shorter"),
        ("xenith.ssh xenith.ssh-password=", "cannot be used: the password is"),
        ("xenith.ssh xenith.ssh-key=ssh-rsa", "cannot be used: it is not the middle word"),
        ("xenith.ssh xenith.ssh-key=A xenith.ssh-password=B", "leave one of them out"),
    ] {
        let error = chain(&proof(line).unwrap_err());
        assert!(error.contains(text), "{line}: {error}");
    }
}

#[test]
fn random_passwords_have_sixty_random_bits() {
    let low = password(Uuid::from_u128(0));
    assert_eq!(low, "aaaa-aaaa-aaaa");
    let high = password(Uuid::from_u128((1 << 60) - 1));
    assert_eq!(high, "9999-9999-9999");
    // What is fixed in a random id is above them.
    assert_eq!(password(Uuid::from_u128(u128::MAX << 60)), low);
}

#[test]
fn one_way_in_and_no_secret_in_what_is_shown() {
    let key = proof(&format!("xenith.ssh xenith.ssh-key={WORD_OF_KEY}")).unwrap().unwrap();
    let given = Proof::Given("hunter22".to_owned());
    let by_key = key.configuration("/run/x", "/bin/session");
    assert!(by_key.contains("\nPasswordAuthentication no\nPubkeyAuthentication yes\n"), "{by_key}");
    let by_password = given.configuration("/run/x", "/bin/session");
    for line in [
        "HostKey /run/x/host_key",
        "AllowUsers installer",
        "PasswordAuthentication yes",
        "PubkeyAuthentication no",
        "AuthorizedKeysFile /run/x/authorized_keys",
        "DisableForwarding yes",
        "ForceCommand /bin/session",
    ] {
        assert!(by_password.lines().any(|found| found == line), "{line}");
    }
    assert_eq!(key.account().unwrap(), "installer:*:0:0:Installer:/root:/bin/bash\n");
    let account = given.account().unwrap();
    assert!(account.starts_with("installer:$6$") && account.ends_with(":/root:/bin/bash\n"));
    assert!(!format!("{given:?}").contains("hunter"));
    let fingerprint = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".to_owned();
    let addresses = vec!["192.0.2.10".to_owned(), "2001:db8::10".to_owned()];
    let mut access = Access { addresses, proof: given, fingerprint };
    assert_eq!(
        access.to_string(),
        "Over SSH: ssh installer@192.0.2.10   with the password of the boot line\n\
         also at 2001:db8::10\n\
         key of this machine SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
    );
    access.proof = Proof::Random("aaaa-bbbb-cccc".to_owned());
    access.addresses.truncate(1);
    let shown = access.to_string();
    assert!(
        shown.starts_with("Over SSH: ssh installer@192.0.2.10   password aaaa-bbbb-cccc\nkey ")
    );
}

#[test]
fn addresses_of_ip() {
    let json = r#"[{"ifname":"lo","addr_info":[]},{},{"ifname":"eth0","addr_info":[
        {"family":"inet","local":"192.0.2.10","prefixlen":24},
        {"family":"inet6","local":"2001:db8::10"},{"index":1}]}]"#;
    assert_eq!(addresses(json).unwrap(), ["192.0.2.10", "2001:db8::10"]);
    assert_eq!(addresses("[]").unwrap(), [""; 0]);
    for bad in ["", "{}", "[{\"addr_info\":1}]"] {
        assert!(addresses(bad).is_err(), "{bad}");
    }
}
