//! Everything by its address of IPv6: what is listened on, the nodes of each other, the services, and clients.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::Path,
    process::Command,
};

use gogochat_client::{Transport, proto::ids::LogId};
use gogochat_testkit::{
    device::Device,
    people::Person,
    ports,
    process::{self, Process},
    proxy::Proxy,
    services::{self, Database},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_knows_nothing_but_addresses_of_ipv6() {
    let dir = tempfile::tempdir().unwrap();
    let [core_http, edge_http, edge, node, grpc] = ports::free::<5>().unwrap().map(on_ipv6);
    let database = Database::create(&format!("gogochat_ipv6_{}", std::process::id())).unwrap();
    let service = async |name| Proxy::on_ipv6(services::address(name).unwrap().parse().unwrap()).await.unwrap();
    let [mysql, redis, kafka, etcd] =
        [service("mysql").await, service("redis").await, service("kafka").await, service("etcd").await];
    let store = database.url().replace(&services::address("mysql").unwrap(), &mysql.address.to_string());
    assert!(store.contains("[::1]"), "{store}");

    certs(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let common = |name: &str, role: &str, http: SocketAddr| {
        format!(
            "roles = [{role:?}]\nnode = {name:?}\ndata = {:?}\ndrain_ms = 500\nhttp.listen = [\"{http}\"]\n\
             log.format = \"text\"\n[cluster]\nname = \"ipv6-{}\"\ndiscovery = \"etcd\"\netcd = [\"http://{}\"]\n\
             ca = {:?}\ncertificate = {:?}\nkey = {:?}\n",
            file(name),
            std::process::id(),
            etcd.address,
            file("ca.pem"),
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
        )
    };
    let core = format!(
        "{}listen = \"{node}\"\naddress = \"{node}\"\n[core]\nstore = {store:?}\nbus = \"kafka\"\n\
         kafka = [\"{}\"]\npresence = \"redis\"\nredis = \"redis://{}\"\ngrpc = [\"{grpc}\"]\ntrust_loopback = true\n",
        common("core-1", "core", core_http),
        kafka.address,
        redis.address
    );
    let front = format!(
        "{}[edge]\nlisten = [\"{edge}\"]\ncertificate = {:?}\nkey = {:?}\npublic = \"https://{edge}\"\n\
         webtransport_url = \"https://{edge}/wt\"\norigins = [\"http://[0:0::1]:8080\"]\n",
        common("edge-1", "edge", edge_http),
        file("edge-1.pem"),
        file("edge-1.key"),
    );
    let (_core, _edge) = (start(dir.path(), "core-1", &core), start(dir.path(), "edge-1", &front));
    process::ready(core_http, &dir.path().join("core-1.log")).await.unwrap();
    process::ready(edge_http, &dir.path().join("edge-1.log")).await.unwrap();

    let ann = Person::register(edge_http, "ann").await.unwrap();
    let ben = Person::register(edge_http, "ben").await.unwrap();
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    let mut ann = Device::sign_in(edge, "ann", Transport::WebTransport).await.unwrap();
    let mut ben = Device::sign_in(edge, "ben", Transport::WebSocket).await.unwrap();
    ann.client.send(log, "over IPv6".to_owned()).await.unwrap();
    assert_eq!(ann.next_text().await.unwrap(), "over IPv6");
    assert_eq!(ben.next_text().await.unwrap(), "over IPv6");

    // A page of the listed origin, whose address has another spelling there.
    let preflight = "OPTIONS /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: http://[::1]:8080\r\n\
                     access-control-request-method: POST\r\n\r\n";
    let mut tcp = TcpStream::connect(edge_http).await.unwrap();
    tcp.write_all(preflight.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("access-control-allow-origin: http://[::1]:8080\r\n"), "{answer}");
}

fn on_ipv6(address: SocketAddr) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, address.port()).into()
}

fn certs(dir: &Path) {
    let hosts = ["--host", "::1", "--host", "[2001:db8::1]"];
    let made = Command::new(GOGOCHAT)
        .args(["certs", "--node", "core-1", "--node", "edge-1"])
        .args(hosts)
        .arg("--out")
        .arg(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn start(dir: &Path, name: &str, text: &str) -> Process {
    let file = dir.join(format!("{name}.toml"));
    std::fs::write(&file, text).unwrap();
    let checked = Command::new(GOGOCHAT).arg("check-config").arg("--config").arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let config = file.display().to_string();
    Process::start(Path::new(GOGOCHAT), ["serve", "--config", config.as_str()], &dir.join(format!("{name}.log")))
        .unwrap()
}
