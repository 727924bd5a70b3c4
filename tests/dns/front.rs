//! nginx, which asks by itself and whose configurations name 127.0.0.11.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use netns_fixtures::{Feature, Namespace, Process, lab_with_plugins};
use serde_json::json;

use super::asking::PATIENCE;
use super::resident::{Person, cli, front, inner, web};
use super::town::Town;

/// Where containers serve.
const SERVED: u16 = 8080;
/// Where nginx does.
const PROXY: u16 = 8000;

/// Serves its name over HTTP within a container, until the case ends.
fn serve(person: &Person<'_>) {
    let name = person.name().to_owned();
    let listener = person.namespace().within(|| TcpListener::bind(("0.0.0.0", SERVED)).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while request.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let reply = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            let _ = stream.write_all(reply.as_bytes());
        }
    });
}

/// nginx within a container, which leads requests to whoever is called `upstream`.
fn nginx(place: &Namespace, upstream: &str) -> Process {
    let dir = format!("/run/nginx-{}", place.name());
    fs::create_dir_all(&dir).unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    let text = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {dir}/pid;\nerror_log {dir}/error;\n\
         events {{ }}\nhttp {{\n    access_log off;\n{temporary}\
         \x20   resolver 127.0.0.11 valid=1s;\n    proxy_connect_timeout 1s;\n\
         \x20   server {{\n        listen {PROXY};\n        set $to {upstream};\n\
         \x20       location / {{ proxy_pass http://$to:{SERVED}; }}\n    }}\n}}\n"
    );
    let file = format!("{dir}/nginx.conf");
    fs::write(&file, text).unwrap();
    let process = place.spawn(&format!("nginx -e {dir}/error -c {file}"));
    let begun = Instant::now();
    while !place.within(|| TcpStream::connect(("127.0.0.1", PROXY)).is_ok()) {
        let said = || fs::read_to_string(format!("{dir}/error")).unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "nginx does not serve: {}", said());
        std::thread::yield_now();
    }
    process
}

/// One request to the nginx within a container: who answered, or what went wrong.
fn request(place: &Namespace) -> Result<String, String> {
    let text = place.within(|| -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", PROXY))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: front\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    });
    let text = text.map_err(|error| error.to_string())?;
    let body = text.rsplit("\r\n").next().unwrap_or_default().to_owned();
    if text.contains(" 200 ") { Ok(body) } else { Err(text) }
}

#[test]
fn case_75_nginx_resolves_names_at_127_0_0_11_whoever_answers_there() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Nginx);
        let town = Town::new(lab);
        let web = town.receive(web());
        serve(&web);
        for person in [town.receive(cli()), town.receive(inner())] {
            let _nginx = nginx(person.namespace(), "web");
            assert_eq!(request(person.namespace()), Ok("web".to_owned()), "{}", person.name());
        }
    });
}

#[test]
fn three_containers_with_one_alias_share_the_requests_and_one_leaves_without_a_failure() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Nginx);
        let town = Town::with(lab, &json!({}));
        let three = [("f1", 21), ("f2", 22), ("f3", 23)]
            .map(|(name, number)| town.receive(front(name, number)));
        three.iter().for_each(serve);
        let proxy = town.receive(cli());
        let _nginx = nginx(proxy.namespace(), "front");
        let mut answered = BTreeMap::<String, u32>::new();
        for number in 0..300 {
            let who = request(proxy.namespace())
                .unwrap_or_else(|error| panic!("request {number}: {error}\n{}", town.report()));
            *answered.entry(who).or_default() += 1;
        }
        assert_eq!(answered.len(), 3, "{answered:?}");
        assert!(answered.values().all(|count| (60..=135).contains(count)), "{answered:?}");
        three[1].leave();
        let until = Instant::now() + Duration::from_secs(8);
        let mut number = 0;
        while Instant::now() < until {
            number += 1;
            let who = request(proxy.namespace());
            let who = who.unwrap_or_else(|error| panic!("request {number} after: {error}"));
            assert!(who == "f1" || who == "f3", "{who} has left");
        }
    });
}
