//! Discovery by etcd.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Client, CompactionOptions, DeleteOptions, Permission, PermissionType,
    PutOptions,
};
use gogochat_storage::discovery::{Claim, Discovery, DiscoveryError, EtcdConfig, Node, etcd::EtcdDiscovery};
use tokio::time::timeout;

use crate::{
    contract::discovery::{self, DEADLINE, core, see},
    gate::Gate,
    services::{Private, address, free_port, unique},
};

fn config(address: &str, prefix: &str) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![format!("http://{address}")],
        prefix: prefix.into(),
        ttl: Duration::from_secs(2),
        ..EtcdConfig::default()
    }
}

async fn two(test: &str) -> (Arc<EtcdDiscovery>, Arc<EtcdDiscovery>) {
    let config = config(&address("etcd"), &unique(test));
    let [here, there] = [EtcdDiscovery::open(config.clone()).await, EtcdDiscovery::open(config).await];
    (Arc::new(here.unwrap()), Arc::new(there.unwrap()))
}

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $test() {
            let (here, there) = two(stringify!($test)).await;
            discovery::$test(here, there).await;
        })*
    };
}

contract!(
    nodes_come_change_and_go,
    two_live_nodes_do_not_share_a_name,
    one_alone_has_a_claim,
    all_say_the_same_for_ever
);

/// A node that died has its name until its lease runs out: who starts again under it waits for that.
#[tokio::test]
async fn the_name_of_a_dead_node_is_waited_for() {
    let (here, prefix) = (address("etcd"), unique("dead"));
    let mut client = Client::connect([format!("http://{here}")], None).await.unwrap();
    let lease = client.lease_grant(2, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(lease);
    client.put(format!("/{prefix}/cores/core-1"), r#"{"address":"10.0.0.1:1"}"#, Some(options)).await.unwrap();

    let discovery = EtcdDiscovery::open(config(&here, &prefix)).await.unwrap();
    assert_eq!(discovery.cores().borrow()[0].address, "10.0.0.1:1");
    let _registration = discovery.register(Node::Core(core("core-1", 2))).await.unwrap();
    see(&mut discovery.cores(), |cores| cores == [core("core-1", 2)]).await;
}

/// Killed and started again within its lease, it is at its place already as that runs out. Nobody
/// is to leave it for the moment until it has its name again.
#[tokio::test]
async fn a_core_that_is_started_again_at_once_is_never_missing_and_a_dead_one_is_forgotten() {
    let (here, prefix) = (address("etcd"), unique("again"));
    let discovery = EtcdDiscovery::open(config(&here, &prefix)).await.unwrap();
    let mut cores = discovery.cores();
    let mut client = Client::connect([format!("http://{here}")], None).await.unwrap();
    let again = core("core-1", 1);
    for name in ["core-1", "core-2"] {
        let lease = client.lease_grant(2, None).await.unwrap().id();
        let value = serde_json::json!({ "address": again.address, "services": again.services, "partitions": again.partitions, "token": "dead" });
        client
            .put(format!("/{prefix}/cores/{name}"), value.to_string(), Some(PutOptions::new().with_lease(lease)))
            .await
            .unwrap();
    }
    see(&mut cores, |cores| cores.iter().filter(|core| core.lives).count() == 2).await;
    let (told, mut seen) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while cores.changed().await.is_ok() {
            let now = cores.borrow_and_update().clone();
            if told.send(now).await.is_err() {
                return;
            }
        }
    });
    let registration = discovery.register(Node::Core(again.clone())).await.unwrap();
    let mut lapsed = Vec::new();
    loop {
        let seen = timeout(DEADLINE, seen.recv()).await.expect("a dead core stays").unwrap();
        lapsed.extend(seen.iter().filter(|core| !core.lives).map(|core| core.name.clone()));
        if seen == [again.clone()] {
            break;
        }
        assert!(seen.iter().any(|core| core.name == "core-1"), "{seen:?}");
    }
    for name in ["core-1", "core-2"] {
        assert!(lapsed.iter().any(|core| core == name), "nobody knew that {name} was dead: {lapsed:?}");
    }
    // One that goes away in order is gone at once: nobody takes it for dead first.
    registration.close().await;
    assert_eq!(timeout(DEADLINE, seen.recv()).await.expect("it stays").unwrap(), []);
}

#[tokio::test]
async fn a_lost_lease_is_told_and_got_back() {
    let (here, prefix) = (address("etcd"), unique("lease"));
    let discovery = EtcdDiscovery::open(config(&here, &prefix)).await.unwrap();
    let registration = discovery.register(Node::Core(core("core-1", 1))).await.unwrap();
    let claim = discovery.claim("chat", "core-1").await.unwrap();
    let mut cores = discovery.cores();
    see(&mut cores, |cores| cores.len() == 1).await;

    let mut client = Client::connect([format!("http://{here}")], None).await.unwrap();
    for key in ["cores/core-1", "claims/chat"] {
        let found = client.get(format!("/{prefix}/{key}"), None).await.unwrap();
        client.lease_revoke(found.kvs()[0].lease()).await.unwrap();
    }
    wait_held(&claim, false).await;
    wait_held(&claim, true).await;
    see(&mut cores, |cores| cores == [core("core-1", 1)]).await;
    // It is the same registration still.
    registration.update(|node| {
        if let Node::Core(core) = node {
            core.partitions = vec![3];
        }
    });
    see(&mut cores, |cores| cores.iter().any(|core| core.partitions == [3])).await;
}

/// Killed and started again with its data, and without.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    let etcd = Private::start("etcd", &[]);
    let config = config(&etcd.address(), "test");
    let here = EtcdDiscovery::open(config.clone()).await.unwrap();
    let there = EtcdDiscovery::open(config).await.unwrap();
    let registration = here.register(Node::Core(core("core-1", 1))).await.unwrap();
    let claim = here.claim("chat", "core-1").await.unwrap();
    let mut cores = there.cores();
    see(&mut cores, |cores| cores.len() == 1).await;

    for (lose_data, partition) in [(false, 1), (true, 2)] {
        etcd.kill();
        if lose_data {
            std::fs::remove_dir_all(etcd.folder().join("data")).unwrap();
        }
        // Who asks for the claim meanwhile must not believe that it is its own for ever.
        wait_held(&claim, false).await;
        assert_eq!(cores.borrow().len(), 1, "the last ones stay while etcd is away");
        etcd.up(&[]);
        wait_held(&claim, true).await;
        registration.update(|node| {
            if let Node::Core(core) = node {
                core.partitions = vec![partition];
            }
        });
        let until = Instant::now() + DEADLINE;
        loop {
            timeout(DEADLINE, cores.changed()).await.expect("no change").unwrap();
            let seen = cores.borrow_and_update().clone();
            assert_eq!(seen.len(), 1, "a node that lives all the time is never missing");
            if seen[0].partitions == [partition] {
                break;
            }
            assert!(Instant::now() < until, "it stays at {seen:?}");
        }
    }
    claim.close().await;
    registration.close().await;
    see(&mut cores, |cores| cores.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn says_which_key_is_wrong() {
    let mixed = ["http://127.0.0.1:1", "https://127.0.0.1:2"].map(str::to_owned).to_vec();
    for endpoints in [mixed, vec![], vec!["ftp://localhost:1".to_owned()], vec!["http://".to_owned()]] {
        let error = open(EtcdConfig { endpoints, ..config("", "test") }).await.unwrap_err();
        assert!(matches!(error, DiscoveryError::Config(_)) && error.to_string().contains("cluster.etcd"), "{error}");
    }
    let endpoints = vec!["https://127.0.0.1:1".to_owned()];
    let missing = EtcdConfig { endpoints, ca: Some("/does/not/exist.pem".into()), ..config("", "test") };
    let error = open(missing).await.unwrap_err();
    assert!(error.to_string().contains("/does/not/exist.pem"), "{error}");

    let etcd = Private::start("etcd", &[]);
    let mut admin = Client::connect([format!("http://{}", etcd.address())], None).await.unwrap();
    let everything = Permission::new(PermissionType::Readwrite, "/test/").with_prefix();
    admin.user_add("root", "root", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.user_add("chat", "secret", None).await.unwrap();
    admin.role_add("chat").await.unwrap();
    admin.role_grant_permission("chat", everything).await.unwrap();
    admin.user_grant_role("chat", "chat").await.unwrap();
    admin.auth_enable().await.unwrap();

    for user in ["", "chat:wrong@", "nobody:secret@"] {
        let error = open(config(&format!("{user}{}", etcd.address()), "test")).await.unwrap_err();
        assert!(matches!(error, DiscoveryError::Refused(_)), "{user}: {error}");
        assert!(error.to_string().contains("cluster.etcd"), "{error}");
    }
    let error = open(config(&format!("chat:secret@{}", etcd.address()), "other")).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Refused(_)), "{error}");
    let discovery = EtcdDiscovery::open(config(&format!("chat:secret@{}", etcd.address()), "test")).await.unwrap();
    let registration = discovery.register(Node::Core(core("core-1", 1))).await.unwrap();
    see(&mut discovery.cores(), |cores| cores.len() == 1).await;

    // Gone for good: it is said, and nobody waits for ever.
    etcd.kill();
    let error = discovery.register(Node::Core(core("core-2", 1))).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&etcd.address()) && !error.to_string().contains("secret"), "{error}");
    timeout(DEADLINE, registration.close()).await.unwrap();
    let error = open(config(&format!("chat:secret@{}", etcd.address()), "test")).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Unreachable { .. }) && !error.to_string().contains("secret"), "{error}");
}

async fn open(config: EtcdConfig) -> Result<(), DiscoveryError> {
    EtcdDiscovery::open(config).await.map(drop)
}

async fn wait_held(claim: &Claim, wanted: bool) {
    let mut held = claim.held();
    timeout(DEADLINE, held.wait_for(|held| *held == wanted)).await.expect("the claim stays").unwrap();
}

/// Its space is used up: it answers, and takes no writes. Who is registered stays so for as long as
/// that lasts, and what could not be told is told when it takes writes again.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_stays_known_while_etcd_is_full() {
    const QUOTA: usize = 4 << 20;
    let etcd = Private::start("etcd", &["--quota-backend-bytes", &QUOTA.to_string()]);
    let config = config(&etcd.address(), "test");
    let here = EtcdDiscovery::open(config.clone()).await.unwrap();
    let there = EtcdDiscovery::open(config.clone()).await.unwrap();
    let registration = here.register(Node::Core(core("core-1", 1))).await.unwrap();
    let claim = here.claim("chat", "core-1").await.unwrap();
    here.agree("store", "one").await.unwrap();
    let mut cores = there.cores();
    see(&mut cores, |cores| cores.len() == 1).await;

    let mut admin = Client::connect([format!("http://{}", etcd.address())], None).await.unwrap();
    let mut fillers = 0;
    let full = loop {
        match admin.put(format!("filler/{fillers}"), vec![b'x'; 512 << 10], None).await {
            Ok(_) => fillers += 1,
            Err(error) => break error,
        }
        assert!(fillers < 100, "it is never full");
    };
    assert!(full.to_string().contains("database space exceeded"), "{full}");
    let partitions = |node: &mut Node| {
        if let Node::Core(core) = node {
            core.partitions = vec![7];
        }
    };
    registration.update(partitions);
    let since = Instant::now();
    let said = loop {
        if let Some(said) = here.trouble() {
            break said;
        }
        assert!(since.elapsed() < DEADLINE, "nobody says that etcd is full");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for part in ["cluster.etcd", "/test/cores/core-1", "database space exceeded"] {
        assert!(said.contains(part), "{said}");
    }
    // For longer than a lease lives without its renewal. One who starts meanwhile finds who is
    // there, and is told why it cannot be among them.
    let starting = tokio::spawn(async move {
        let late = EtcdDiscovery::open(config).await.unwrap();
        late.agree("store", "one").await.unwrap();
        let refused = late.register(Node::Core(core("core-2", 1))).await.unwrap_err();
        (late.cores().borrow().len(), refused)
    });
    while since.elapsed() < Duration::from_secs(6) {
        assert!(*claim.held().borrow(), "a healthy lease is given up");
        assert!(there.cores().borrow().iter().all(|core| core.lives && core.partitions.is_empty()));
        assert_eq!(there.cores().borrow().len(), 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (found, refused) = starting.await.unwrap();
    assert_eq!(found, 1);
    assert!(refused.is_away() && refused.to_string().contains("takes no writes"), "{refused}");

    // As an operator makes room.
    let prefix = DeleteOptions::new().with_prefix();
    let deleted = admin.delete("filler/", Some(prefix)).await.unwrap();
    let revision = deleted.header().unwrap().revision();
    admin.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
    admin.defragment().await.unwrap();
    let alarms = admin.alarm(AlarmAction::Get, AlarmType::Nospace, None).await.unwrap();
    for alarm in alarms.alarms() {
        let mut member = AlarmOptions::new();
        member.with_member(alarm.member_id());
        admin.alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(member)).await.unwrap();
    }
    let freed = Instant::now();
    see(&mut cores, |cores| cores.iter().any(|core| core.partitions == [7])).await;
    while here.trouble().is_some() {
        assert!(freed.elapsed() < HEALS, "{:?}", here.trouble());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(freed.elapsed() < HEALS);
    drop((registration, claim));
}

/// What a node would go on from, after etcd was away, has been compacted by then: it asks for all anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_loses_no_change() {
    let etcd = Private::start("etcd", &[]);
    let gate = Gate::open(etcd.address()).await;
    let there = EtcdDiscovery::open(config(gate.address(), "test")).await.unwrap();
    let here = EtcdDiscovery::open(config(&etcd.address(), "test")).await.unwrap();
    let registration = here.register(Node::Core(core("core-1", 1))).await.unwrap();
    let mut cores = there.cores();
    see(&mut cores, |cores| cores.len() == 1).await;

    gate.lead("127.0.0.1:9".into());
    etcd.kill();
    etcd.up(&[]);
    let mut admin = Client::connect([format!("http://{}", etcd.address())], None).await.unwrap();
    registration.update(|node| {
        if let Node::Core(core) = node {
            core.partitions = vec![5];
        }
    });
    // Until it is written, and then so much more that its place is far behind.
    let until = Instant::now() + DEADLINE;
    loop {
        let found = admin.get("/test/cores/core-1", None).await.unwrap();
        if found.kvs().first().is_some_and(|kv| String::from_utf8_lossy(kv.value()).contains("[5]")) {
            break;
        }
        assert!(Instant::now() < until, "it is not registered again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut revision = 0;
    for n in 0..100 {
        revision = admin.put("elsewhere", n.to_string(), None).await.unwrap().header().unwrap().revision();
    }
    admin.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
    gate.lead(etcd.address());
    let led = Instant::now();
    see(&mut cores, |cores| cores.iter().any(|core| core.partitions == [5])).await;
    assert!(led.elapsed() < HEALS, "it took {:?}", led.elapsed());
    while there.trouble().is_some() {
        assert!(led.elapsed() < HEALS, "{:?}", there.trouble());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two members of three are lost. Who is known stays known, and what could not be told is told once two
/// are there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_quorum_is_survived() {
    let ports = [free_port(), free_port(), free_port()];
    let members: Vec<_> =
        (1..).zip(ports).map(|(n, port)| format!("member-{n}=http://127.0.0.1:{}", port + 1)).collect();
    let members = members.join(",");
    let start = |n: usize| {
        let (members, port) = (members.clone(), ports[n]);
        tokio::task::spawn_blocking(move || {
            let name = format!("member-{}", n + 1);
            // Over those that the script gives a lone member.
            Private::start_at("etcd", port, &["--name", &name, "--initial-cluster", &members])
        })
    };
    let (one, two, three) = tokio::join!(start(0), start(1), start(2));
    let (one, lost) = (one.unwrap(), [two.unwrap(), three.unwrap()]);
    let endpoints = [&one, &lost[0], &lost[1]].map(|member| format!("http://{}", member.address())).to_vec();
    let config = EtcdConfig { endpoints, ..config("", "test") };
    let here = EtcdDiscovery::open(config.clone()).await.unwrap();
    let there = EtcdDiscovery::open(config).await.unwrap();
    let registration = here.register(Node::Core(core("core-1", 1))).await.unwrap();
    let claim = here.claim("chat", "core-1").await.unwrap();
    let mut cores = there.cores();
    see(&mut cores, |cores| cores.len() == 1).await;

    lost.iter().for_each(Private::kill);
    wait_held(&claim, false).await;
    registration.update(|node| {
        if let Node::Core(core) = node {
            core.partitions = vec![6];
        }
    });
    let since = Instant::now();
    let said = loop {
        if let Some(said) = here.trouble() {
            break said;
        }
        assert!(since.elapsed() < DEADLINE, "nobody says that etcd has no quorum");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(said.starts_with("cluster.etcd: "), "{said}");
    assert_eq!(cores.borrow().len(), 1, "the last ones stay");

    let up = |member: Private, n: usize| {
        let members = members.clone();
        tokio::task::spawn_blocking(move || {
            member.up(&["--name", &format!("member-{n}"), "--initial-cluster", &members]);
            member
        })
    };
    let [two, three] = lost;
    let (two, three) = tokio::join!(up(two, 2), up(three, 3));
    let back = Instant::now();
    wait_held(&claim, true).await;
    see(&mut cores, |cores| cores.iter().any(|core| core.partitions == [6])).await;
    while [&here, &there].into_iter().any(|discovery| discovery.trouble().is_some()) {
        assert!(back.elapsed() < HEALS, "{:?} {:?}", here.trouble(), there.trouble());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(back.elapsed() < HEALS, "it took {:?}", back.elapsed());
    assert_eq!(cores.borrow().len(), 1);
    drop((registration, claim, two, three, one));
}

const HEALS: Duration = Duration::from_secs(10);
