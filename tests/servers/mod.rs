//! Real servers for the tests: each a plain process on private loopback ports with a directory of
//! its own, killed for sure when this process ends, however it ends.
//!
//! A shell stands between, in a process group of its own, so that a Ctrl-C for us is none for it: it
//! starts the server in a session of its own and reads from a pipe that only we hold. When we are
//! gone, by whatever end, the read ends too: it kills the whole session and removes the directory.

#![allow(clippy::print_stderr)] // What is skipped is said loudly.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Nats,
    Rabbit,
    Kafka,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Redis, Kind::Nats, Kind::Rabbit, Kind::Kafka];

/// RabbitMQ and Kafka take seconds; on a machine where everybody builds, a minute and more.
const SLOWEST_START: Duration = Duration::from_secs(240);
const USER: &str = "swarm";
const PASSWORD: &str = "correct horse/battery@staple";

/// A server that runs, or was killed and can be started again on its data.
pub(crate) struct Server {
    kind: Kind,
    dir: PathBuf,
    /// Plain, encrypted, and two for the server's own needs.
    ports: [u16; 4],
    shell: Option<Child>,
}

/// Whether the tests of this kind can run here; says loudly when not, and fails when that is asked.
pub(crate) fn can(kind: Kind) -> bool {
    let all = ["SPORE_TEST_STRICT", "SPORE_TEST_BUSES"];
    if matches!(kind, Kind::Rabbit | Kind::Kafka)
        && all.iter().all(|name| std::env::var_os(name).is_none())
    {
        eprintln!(
            "SKIPPED: {kind:?} takes seconds to start; SPORE_TEST_BUSES=all cargo test, or make test, runs it"
        );
        return false;
    }
    let (there, how) = match kind {
        Kind::Redis => (on_path("redis-server"), "apt-get install redis-server"),
        Kind::Nats => (on_path("nats-server"), "apt-get install nats-server"),
        Kind::Rabbit => (
            Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(),
            "apt-get install rabbitmq-server",
        ),
        Kind::Kafka => (
            on_path("java") && kafka_jars().join("done").exists(),
            "sh tests/deps.sh",
        ),
    };
    if !there {
        let said = format!("SKIPPED: no {kind:?} here; to run these tests: {how}");
        assert!(std::env::var_os("SPORE_TEST_STRICT").is_none(), "{said}");
        eprintln!("{said}");
    }
    there
}

/// Whether a process is gone, or only waits to be looked after.
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_none_or(|state| state.starts_with('Z'))
}

pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

/// Where tests/deps.sh puts Kafka.
fn kafka_jars() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    cache.join("sporekit/kafka-4.1.1")
}

/// One server of each kind for all tests that do not hurt it.
pub(crate) fn shared(kind: Kind) -> Option<&'static Server> {
    static SHARED: [OnceLock<Option<Server>>; 4] = [const { OnceLock::new() }; 4];
    SHARED[kind as usize]
        .get_or_init(|| Server::start(kind))
        .as_ref()
}

/// Ports that are free now, and that no other server of this process was given.
fn ports() -> [u16; 4] {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    std::array::from_fn(|_| {
        loop {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            if !given.contains(&port) {
                given.push(port);
                return port;
            }
        }
    })
}

impl Server {
    /// A server of one's own; nothing where there is none to start.
    pub(crate) fn start(kind: Kind) -> Option<Server> {
        Server::start_in(kind, None)
    }

    /// The same with its data in `data`.
    pub(crate) fn start_in(kind: Kind, data: Option<&Path>) -> Option<Server> {
        if !can(kind) {
            return None;
        }
        let dir = match data {
            Some(data) => data.to_owned(),
            None => tempfile::Builder::new()
                .prefix("sporekit-bus-")
                .tempdir()
                .unwrap()
                .keep(),
        };
        fs::write(dir.join("password"), format!("{PASSWORD}\n")).unwrap();
        let mut server = Server {
            kind,
            dir,
            ports: ports(),
            shell: None,
        };
        server.certificates();
        server.configure();
        server.run();
        Some(server)
    }

    /// Its address, without encryption.
    pub(crate) fn url(&self) -> String {
        let (secret, port) = (self.secret(), self.ports[0]);
        match self.kind {
            Kind::Redis => format!("redis://:{secret}@127.0.0.1:{port}/0"),
            Kind::Nats => format!("nats://{USER}:{secret}@127.0.0.1:{port}"),
            Kind::Rabbit => format!("amqp://{USER}:{secret}@127.0.0.1:{port}/%2F"),
            Kind::Kafka => format!("kafka://127.0.0.1:{port}"),
        }
    }

    /// Its address, encrypted; `ca` is trusted.
    pub(crate) fn tls_url(&self, user: &str, secret: &str, ca: &Path) -> String {
        let port = self.ports[1];
        let ca = ca.display();
        match self.kind {
            Kind::Redis => format!("rediss://:{secret}@localhost:{port}/0?ca={ca}"),
            Kind::Nats => format!("tls://{user}:{secret}@localhost:{port}?ca={ca}"),
            Kind::Rabbit => format!("amqps://{user}:{secret}@localhost:{port}/%2F?ca={ca}"),
            Kind::Kafka => format!("kafkas://{user}:{secret}@localhost:{port}?ca={ca}&sasl=plain"),
        }
    }

    pub(crate) fn secret(&self) -> String {
        format!("file:{}", self.dir.join("password").display())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports[0]
    }

    /// A certificate authority, and a certificate by it for localhost.
    fn certificates(&self) {
        let script = r#"set -e; cd "$1"; exec 2>openssl.log
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >ext
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=another-ca -keyout other.key -out other.pem
            cat server.key server.pem ca.pem >keystore.pem; chmod 600 *.key"#;
        let done = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&self.dir)
            .status();
        assert!(
            done.unwrap().success(),
            "openssl: see {}",
            self.dir.display()
        );
    }

    /// From its next start on it takes only clients that show a certificate of the authority.
    pub(crate) fn ask_for_certificates(&self) {
        let at = self.dir.display();
        // What stands last counts.
        let (file, more) = match self.kind {
            Kind::Redis => ("redis.conf", "tls-auth-clients yes\n".to_owned()),
            Kind::Nats => (
                "tls.conf",
                format!(
                    "tls {{ cert_file: \"{at}/server.pem\", key_file: \"{at}/server.key\", ca_file: \"{at}/ca.pem\", verify: true }}\n"
                ),
            ),
            Kind::Rabbit => (
                "rabbitmq.conf",
                "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
                    .to_owned(),
            ),
            Kind::Kafka => (
                "server.properties",
                format!(
                    "listener.name.sasl_ssl.ssl.client.auth=required\nssl.truststore.type=PEM\nssl.truststore.location={at}/ca.pem\n"
                ),
            ),
        };
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.dir.join(file))
            .unwrap();
        file.write_all(more.as_bytes()).unwrap();
    }

    fn configure(&self) {
        let [plain, tls, own, other] = self.ports;
        let at = self.dir.display();
        let (file, text) = match self.kind {
            Kind::Redis => (
                "redis.conf",
                format!(
                    "bind 127.0.0.1\nport {plain}\ntls-port {tls}\ntls-auth-clients no\ntls-cert-file {at}/server.pem\n\
                     tls-key-file {at}/server.key\ntls-ca-cert-file {at}/ca.pem\nrequirepass \"{PASSWORD}\"\n\
                     dir {at}\nappendonly yes\nappendfsync everysec\nsave \"\"\n"
                ),
            ),
            Kind::Nats => {
                let login = format!("authorization {{ user: {USER}, password: \"{PASSWORD}\" }}\n");
                let tls_part = format!(
                    "tls {{ cert_file: \"{at}/server.pem\", key_file: \"{at}/server.key\" }}\n"
                );
                fs::write(
                    self.dir.join("tls.conf"),
                    format!("host: 127.0.0.1\nport: {tls}\njetstream {{ store_dir: \"{at}/data-tls\" }}\n{login}{tls_part}"),
                )
                .unwrap();
                (
                    "nats.conf",
                    format!(
                        "host: 127.0.0.1\nport: {plain}\njetstream {{ store_dir: \"{at}/data\" }}\n{login}"
                    ),
                )
            }
            Kind::Rabbit => {
                fs::write(self.dir.join("plugins"), "[].\n").unwrap();
                (
                    "rabbitmq.conf",
                    format!(
                        "listeners.tcp.1 = 127.0.0.1:{plain}\nlisteners.ssl.1 = 127.0.0.1:{tls}\nssl_options.cacertfile = {at}/ca.pem\n\
                         ssl_options.certfile = {at}/server.pem\nssl_options.keyfile = {at}/server.key\nssl_options.verify = verify_none\n\
                         ssl_options.fail_if_no_peer_cert = false\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\n\
                         vm_memory_high_watermark.absolute = 2GiB\ndisk_free_limit.absolute = 1MB\nlog.console = false\n"
                    ),
                )
            }
            Kind::Kafka => {
                let jaas = format!(
                    "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{USER}\" password=\"{PASSWORD}\" user_{USER}=\"{PASSWORD}\";"
                );
                (
                    "server.properties",
                    format!(
                        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{own}\n\
                         listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{tls},CONTROLLER://127.0.0.1:{own}\n\
                         advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://localhost:{tls}\n\
                         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT\n\
                         inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\nlog.dirs={at}/data\nnum.partitions=1\n\
                         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\ntransaction.state.log.replication.factor=1\n\
                         transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
                         group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\nsasl.enabled.mechanisms=PLAIN\n\
                         listener.name.sasl_ssl.plain.sasl.jaas.config={jaas}\nssl.keystore.type=PEM\nssl.keystore.location={at}/keystore.pem\n\
                         ssl.client.auth=none\nnum.network.threads=2\nnum.io.threads=4\nlog.cleaner.dedupe.buffer.size=4194304\n\
                         log.cleaner.threads=1\n"
                    ),
                )
            }
        };
        let _ = other;
        fs::write(self.dir.join(file), text).unwrap();
        if self.kind == Kind::Kafka && !self.dir.join("data").exists() {
            let log = fs::File::create(self.dir.join("format.log")).unwrap();
            let done = self
                .java("-Xmx256m")
                .args([
                    "kafka.tools.StorageTool",
                    "format",
                    "-t",
                    "MkU3OEVBNTcwNTJENDM2Qg",
                    "-c",
                    "server.properties",
                ])
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .status();
            assert!(done.unwrap().success(), "kafka format: see {at}/format.log");
        }
    }

    fn java(&self, memory: &str) -> Command {
        let mut java = Command::new("java");
        java.args([memory, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
            .arg(kafka_jars().join("libs").join("*"))
            .current_dir(&self.dir);
        java
    }

    /// Starts it, on the data that is there, and waits until it answers.
    pub(crate) fn run(&mut self) {
        for _ in 0..3 {
            self.launch();
            match self.await_ready() {
                Ok(()) => return,
                // Another program may have taken one of its ports while it was down.
                Err(why) => eprintln!("{:?} did not start, once more: {why}", self.kind),
            }
            self.kill();
        }
        let log = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        panic!("{:?} does not start: {log}", self.kind);
    }

    fn launch(&mut self) {
        let start = match self.kind {
            Kind::Redis => "setsid redis-server redis.conf".to_owned(),
            Kind::Nats => {
                "setsid sh -c 'nats-server -c tls.conf & exec nats-server -c nats.conf'".to_owned()
            }
            Kind::Rabbit => "setsid /usr/lib/rabbitmq/bin/rabbitmq-server".to_owned(),
            Kind::Kafka => format!(
                "setsid java -Xms128m -Xmx400m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp '{}/libs/*' kafka.Kafka server.properties",
                kafka_jars().display()
            ),
        };
        let [_, _, dist, epmd] = self.ports;
        // epmd would stay behind and listen everywhere: ours is started first, and ended with the rest.
        let before = match self.kind {
            Kind::Rabbit => format!(
                "setsid epmd -address 127.0.0.1 -port {epmd} </dev/null >epmd.log 2>&1 3<&- &\n\
                 echo $! >epmd.pid\nfor _ in $(seq 200); do epmd -port {epmd} -names >/dev/null 2>&1 && break; sleep 0.05; done\n"
            ),
            _ => String::new(),
        };
        let script = format!(
            "trap '' INT TERM HUP\nexec 3<&0\n{before}{start} </dev/null >>server.log 2>&1 3<&- &\n\
             echo $! >pid.new && mv pid.new pid\nread said <&3\n\
             for pid in -$(cat pid) $(cat epmd.pid 2>/dev/null); do kill -KILL $pid 2>/dev/null; done\nwait\n\
             if [ \"$said\" != stay ] && [ -z \"$SPORE_TEST_KEEP\" ]; then\n\
             umount -l \"$PWD\" 2>/dev/null\nrm -rf \"$PWD\" || {{ sleep 1; rm -rf \"$PWD\"; }}\nfi\n"
        );
        drop(fs::remove_file(self.dir.join("pid")));
        let at = self.dir.display().to_string();
        let shell = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&self.dir)
            .env("HOME", &self.dir)
            .env("RABBITMQ_NODENAME", format!("t{}@localhost", self.ports[0]))
            .env("RABBITMQ_MNESIA_BASE", format!("{at}/mnesia"))
            .env("RABBITMQ_LOG_BASE", format!("{at}/log"))
            .env("RABBITMQ_CONFIG_FILE", format!("{at}/rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", format!("{at}/plugins"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", format!("{at}/flags"))
            .env("RABBITMQ_DIST_PORT", dist.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("ERL_EPMD_PORT", epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        self.shell = Some(shell);
    }

    /// Waits until it answers; an error when it ended, or is not ready after minutes.
    fn await_ready(&self) -> Result<(), String> {
        let end = Instant::now() + SLOWEST_START;
        let pid = self.pid();
        let address = sporekit::bus::Address::read(&self.url()).unwrap();
        let mut said = "its ports are closed".to_owned();
        while Instant::now() < end {
            if has_ended(&pid) {
                return Err(format!("it ended; {said}"));
            }
            // A port that is open is not a server that is ready.
            if self.is_listening(0) && self.is_listening(1) {
                let by = Instant::now() + Duration::from_secs(2);
                let ready = sporekit::bus::connect(&address, by).and_then(|mut bus| {
                    bus.declare(&"ready".parse().unwrap())?;
                    bus.ping()
                });
                match ready {
                    Ok(()) => return Ok(()),
                    Err(error) => said = error.to_string(),
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(said)
    }

    fn is_listening(&self, port: usize) -> bool {
        TcpStream::connect(("127.0.0.1", self.ports[port])).is_ok()
    }

    fn pid(&self) -> String {
        let file = self.dir.join("pid");
        for _ in 0..12_000 {
            if let Ok(pid) = fs::read_to_string(&file) {
                return pid.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no shell started {:?} in {}", self.kind, self.dir.display());
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.pid());
        let sent = Command::new("kill")
            .args([signal, "--", &group])
            .stderr(Stdio::null())
            .status();
        assert!(sent.is_ok());
    }

    /// Stops it without killing it, as a machine does that hangs.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// `kill -9`; returns when it is gone and its ports are free.
    pub(crate) fn kill(&mut self) {
        let Some(mut shell) = self.shell.take() else {
            return;
        };
        self.signal("-9");
        if let Some(mut tell) = shell.stdin.take() {
            drop(tell.write_all(b"stay\n"));
        }
        drop(shell.wait());
        let used = match self.kind {
            Kind::Redis | Kind::Nats => 2,
            Kind::Kafka => 3,
            Kind::Rabbit => 4,
        };
        for _ in 0..1200 {
            if !(0..used).any(|port| self.is_listening(port)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{:?} is killed and listens", self.kind);
    }

    /// Removes what it had stored.
    pub(crate) fn empty(&self) {
        for name in ["appendonlydir", "data", "data-tls", "mnesia"] {
            drop(fs::remove_dir_all(self.dir.join(name)));
        }
        if self.kind == Kind::Kafka {
            self.configure();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::env::var_os("SPORE_TEST_KEEP").is_none() {
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}
