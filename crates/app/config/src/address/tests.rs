use super::*;

#[test]
fn addresses_print_as_they_are_written() {
    for text in [
        "127.0.0.1:80",
        "[::1]:80",
        "unix:/run/app.sock",
        "unix:app.sock",
        "app.internal:3000",
        "my_app:1",
        "xn--bcher-kva.de:65535",
    ] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
    assert_eq!("App.Internal.:80".parse::<Address>().unwrap().to_string(), "app.internal:80");
    for text in ["127.0.0.1:0", "[::]:8080", "unix:/run/app.sock"] {
        assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
    }
}

#[test]
fn refused_with_what_was_meant() {
    for (text, expected) in [
        ("", "the address is empty (such as `127.0.0.1:3000`)"),
        ("app", "the address has no port (write `app:80`)"),
        ("3000", "the address has no host (write `127.0.0.1:3000`)"),
        (":3000", "the address has no host (write `127.0.0.1:3000`)"),
        ("::1", "the address is an IPv6 address without brackets and port (write `[::1]:80`)"),
        ("http://app", "the address begins with `http://`, but only host and port are needed (write `app:80`)"),
        ("http://app:1/", "the address begins with `http://`, but only host and port are needed (write `app:1`)"),
        ("/run/app.sock", "the address holds a `/` (a Unix socket is written `unix:/path`; else host and port only)"),
        ("unix:", "the address names no socket path (such as `unix:/run/app.sock`)"),
        ("app:99999", "the address has the port `99999` (a port is a number from 1 to 65535)"),
        ("127.0.0.1:0", "the address has port 0 (a server is reached at a port from 1 to 65535)"),
    ] {
        assert_eq!(text.parse::<Address>().unwrap_err().to_string(), expected, "{text}");
    }
    for text in ["300.1.1.1:80", "a..b:80", "a b:80", "-:x", "b\u{fc}cher.de:80", "a@b:80", "1.2.3:80"] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
    assert!("https://app:443".parse::<Address>().unwrap_err().to_string().contains("write `app:443`"));
    assert!(format!("unix:/{}", "x".repeat(107)).parse::<Address>().is_err());
}

#[test]
fn servers_are_written_with_their_scheme() {
    for text in ["127.0.0.1:80", "https://app.internal:443", "https://[::1]:8443", "https://unix:/run/app.sock"] {
        let server: ServerAddress = text.parse().unwrap();
        assert_eq!((server.to_string(), server.tls), (text.to_owned(), text.starts_with("https")));
    }
    for (text, hint) in [
        ("https://app", "write `https://app:443`"),
        ("https://app/", "write `https://app:443`"),
        ("https://app:8443/x", "write `https://app:8443`"),
    ] {
        assert_eq!(text.parse::<ServerAddress>().unwrap_err().hint, hint, "{text}");
    }
    assert!("https://".parse::<ServerAddress>().is_err());
    for text in
        ["http://a:pw@app", "a:pw@app", "a:pw@app:80", "https://a:pw@app", "https://a:pw@app:443/", "app:80@a:pw"]
    {
        let error = text.parse::<ServerAddress>().unwrap_err();
        assert!(error.to_string().contains("holds an `@`") && !error.to_string().contains("pw"), "{text}: {error}");
    }
    assert!("https://unix:/run/a@b".parse::<ServerAddress>().is_ok());
}

#[test]
fn addresses_overlap_on_one_port_of_one_family() {
    let overlap = |a: &str, b: &str| {
        let (a, b): (ListenAddress, ListenAddress) = (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(a.overlaps(&b), b.overlaps(&a));
        a.overlaps(&b)
    };
    for (a, b) in [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("[::1]:80", "[::]:80"),
        ("unix:/a", "unix:/a"),
    ] {
        assert!(overlap(a, b), "{a} {b}");
    }
    for (a, b) in [
        ("127.0.0.1:80", "127.0.0.1:81"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("0.0.0.0:80", "127.0.0.1:81"),
        ("0.0.0.0:80", "[::]:80"),
        ("0.0.0.0:0", "0.0.0.0:0"),
        ("unix:/a", "unix:/b"),
        ("unix:/a", "0.0.0.0:80"),
    ] {
        assert!(!overlap(a, b), "{a} {b}");
    }
}

#[test]
fn refused_for_listening() {
    for (text, hint) in [
        ("localhost:80", "write `127.0.0.1:80`"),
        (":80", "write `0.0.0.0:80` for every address of this machine"),
        ("*:80", "write `0.0.0.0:80` for every address of this machine"),
        ("8080", "write `127.0.0.1:8080`"),
        ("example.com:80", "names are not looked up here: write the IP address, `0.0.0.0` for all"),
        ("http://0.0.0.0:80", "host and port only, such as `127.0.0.1:8080`"),
        ("/run/x", "a Unix socket is written `unix:/path`"),
        ("127.0.0.1:http", "a port is a number from 0 to 65535"),
        ("::1", "write `[::1]:8080`"),
        ("", "such as `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`"),
    ] {
        assert_eq!(text.parse::<ListenAddress>().unwrap_err().hint, hint, "{text}");
    }
}
