use super::*;

/// A certificate and its key for `localhost`, in PEM.
fn pair(until: i32) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key can be made");
    let mut parameters =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
    parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = parameters.self_signed(&key).expect("a key signs");
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn each_fault_names_the_key_and_the_file_and_no_content() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ((cert, key), (_, other)) = (pair(2100), pair(2100));
    let cert = write("a.crt", &cert);
    let key_file = write("a.key", &key);
    let other = write("b.key", &other);
    let empty = write("empty", "");
    let torn = write("torn", &key[..key.len() / 2]);
    let missing = folder.path().join("missing");
    assert!(
        identity("server", Some(&cert), Some(&key_file))
            .unwrap()
            .is_some()
    );
    assert!(identity("server", None, None).unwrap().is_none());
    for (cert, key, expected) in [
        (
            Some(&cert),
            None,
            "server.tls_cert_file is set without server.tls_key_file",
        ),
        (
            None,
            Some(&key_file),
            "server.tls_key_file is set without server.tls_cert_file",
        ),
        (
            Some(&missing),
            Some(&key_file),
            "server.tls_cert_file: the file",
        ),
        (Some(&cert), Some(&missing), "cannot be read: No such file"),
        (Some(&empty), Some(&key_file), "holds no certificate"),
        (Some(&key_file), Some(&key_file), "holds no certificate"),
        (Some(&cert), Some(&cert), "holds no private key"),
        (Some(&cert), Some(&torn), "holds no private key"),
        (
            Some(&cert),
            Some(&other),
            "does not belong to the certificate",
        ),
    ] {
        let cert = cert.map(PathBuf::as_path);
        let error = identity("server", cert, key.map(PathBuf::as_path)).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("BEGIN PRIVATE KEY-----\n"), "{error}");
    }
}

#[test]
fn a_certificate_counts_between_its_dates() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = pair(2020);
    let (cert_file, key_file) = (folder.path().join("c"), folder.path().join("k"));
    std::fs::write(&cert_file, cert).unwrap();
    std::fs::write(&key_file, key).unwrap();
    let identity = identity("admin", Some(&cert_file), Some(&key_file));
    let identity = identity.unwrap().unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();
    for (now, expected) in [
        (900_000_000, true),
        (978_307_199, true),
        (978_307_200, false),
        (1_577_836_800, false),
        (1_577_836_801, true),
    ] {
        assert_eq!(identity.is_outdated(at(now)), expected, "{now}");
    }
}

#[test]
fn the_dates_of_a_certificate_are_read_in_both_forms_and_of_nothing_else() {
    for (until, expected) in [
        (2020, "2020-01-01T00:00:00Z"),
        (2049, "2049-01-01T00:00:00Z"),
        // From 2050 on, years have four digits.
        (2050, "2050-01-01T00:00:00Z"),
        (2100, "2100-01-01T00:00:00Z"),
    ] {
        let (pem, _) = pair(until);
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (from, to) = validity::validity(&der).unwrap();
        assert_eq!(from.to_string(), "2001-01-01T00:00:00Z");
        assert_eq!(to.to_string(), expected);
        for length in 0..der.len() {
            // What is torn gives nothing, and never a panic.
            assert_eq!(validity::validity(&der[..length]), None, "{length}");
        }
    }
}
