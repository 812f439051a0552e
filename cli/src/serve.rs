//! `candle-explain serve`: the server, with the flags of torchserve.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use candle_explain::file::cannot_write;
use candle_explain::{Result, bail, error};
use candle_explain_server::{Server, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::console::say;

const FOLDER: &str = "logs";
const LOG: &str = "logs/candle-explain.log";
const PID: &str = "logs/candle-explain.pid";
const KEYS: &str = "key_file.json";
const TIME_TO_START: Duration = Duration::from_secs(60);
const TIME_TO_STOP: Duration = Duration::from_secs(60);
const NOT_SERVED: &str = "not served";
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Serves models over HTTP, with the flags of torchserve
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Starts in the background, and returns when the models can answer
    #[arg(long, conflicts_with = "stop")]
    start: bool,
    /// Stops the server that was started in this folder
    #[arg(long)]
    stop: bool,
    /// Stays in the foreground, even with --start
    #[arg(long)]
    foreground: bool,
    /// The folder with archives and checkpoint folders
    #[arg(long)]
    model_store: Option<PathBuf>,
    /// Settings in the form of TorchServe's config.properties
    #[arg(long, alias = "config")]
    ts_config: Option<PathBuf>,
    /// Which models of the store are served: all, or NAME=FILE and FILE, separated by spaces or commas
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    models: Vec<String>,
    /// Requests need no key, even if other machines can reach the server
    #[arg(long, alias = "disable-token")]
    disable_token_auth: bool,
    /// Models may be registered and removed while the server runs
    #[arg(long)]
    enable_model_api: bool,
    /// One more setting, as in config.properties
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Accepted for compatibility with TorchServe: no snapshots of the settings are taken
    #[arg(long, alias = "no-config-snapshots")]
    ncs: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.stop {
        return stop();
    }
    let settings = settings(arguments)?;
    if arguments.start && !arguments.foreground {
        return start(&settings);
    }
    for key in settings.ignored() {
        say(format!("the setting {key} means nothing here"));
    }
    let server = Server::new(settings)?.with_keys(KEYS)?;
    for why in server.refused() {
        say(format!("{NOT_SERVED}: {why}"));
    }
    if server.needs_keys() {
        say(format!("requests must show a key of {KEYS}"));
    }
    let models = server.models();
    let bound = server.bind()?;
    for (name, version) in &models {
        say(format!("{name} {version}: http://{}/predictions/{name}", bound.inference_address()));
    }
    say(format!(
        "inference http://{}, management http://{}, metrics http://{}/metrics; {} models",
        bound.inference_address(),
        bound.management_address(),
        bound.metrics_address(),
        models.len()
    ));
    bound.run(told_to_end())
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    let mut settings = arguments.ts_config.as_ref().map_or_else(|| Ok(Settings::default()), Settings::from_file)?;
    let mut set = |key: &str, value: &str| -> Result<()> {
        settings = settings.set(key, value)?;
        Ok(())
    };
    if let Some(store) = &arguments.model_store {
        set("model_store", &store.to_string_lossy())?;
    }
    if !arguments.models.is_empty() {
        set("load_models", &arguments.models.join(","))?;
    }
    if arguments.disable_token_auth {
        set("disable_token_authorization", "true")?;
    }
    if arguments.enable_model_api {
        set("enable_model_api", "true")?;
    }
    for pair in &arguments.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| error!(Input, "--set {pair}: expected KEY=VALUE"))?;
        set(key, value)?;
    }
    Ok(settings)
}

/// Waits until the process is told to end, by SIGTERM or Ctrl-C.
async fn told_to_end() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            say("answering what was asked, then ending");
        }
        _ => std::future::pending().await,
    }
}

/// Starts this command once more in the background, and waits until it answers.
fn start(settings: &Settings) -> Result<()> {
    if let Some(pid) = running_pid() {
        bail!(Input, "a server of this folder is running already, as process {pid}: end it with --stop")
    }
    if settings.inference_address().port() == 0 {
        bail!(Input, "--start needs a port to look for the server at: give one other than 0, or use --foreground")
    }
    // Otherwise another server's health would be taken for that of the new one.
    if TcpStream::connect_timeout(&settings.inference_address(), BETWEEN_LOOKS).is_ok() {
        bail!(Input, "a server of another folder listens at {} already", settings.inference_address())
    }
    std::fs::create_dir_all(FOLDER).map_err(|e| cannot_write(Path::new(FOLDER), e))?;
    let log = OpenOptions::new().create(true).append(true).open(LOG).map_err(|e| cannot_write(Path::new(LOG), e))?;
    let before = log.metadata().map_or(0, |facts| facts.len() as usize);
    let copy = log.try_clone().map_err(|e| cannot_write(Path::new(LOG), e))?;
    let program = std::env::current_exe().map_err(|e| error!(File, "this program cannot be found: {e}"))?;
    let started = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg("--foreground")
        .stdin(Stdio::null())
        .stdout(copy)
        .stderr(log)
        .process_group(0)
        .spawn();
    let mut server = started.map_err(|e| error!(Input, "the server could not be started: {e}"))?;
    std::fs::write(PID, server.id().to_string()).map_err(|e| cannot_write(Path::new(PID), e))?;
    wait_until_healthy(&mut server, settings.inference_address(), before)?;
    log_since(before).lines().filter(|line| line.starts_with(NOT_SERVED)).for_each(say);
    say(format!("started as process {}; it writes to {LOG}, and --stop ends it", server.id()));
    if settings.needs_keys() {
        say(format!("requests must show a key of {KEYS}"));
    }
    Ok(())
}

/// The part of the log after the first `before` bytes.
fn log_since(before: usize) -> String {
    let log = std::fs::read_to_string(LOG).unwrap_or_default();
    log.get(before..).unwrap_or(&log).to_string()
}

/// Waits until the server answers; the first `before` bytes of the log are from earlier servers.
fn wait_until_healthy(server: &mut Child, address: SocketAddr, before: usize) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < TIME_TO_START {
        if let Ok(Some(status)) = server.try_wait() {
            bail!(Input, "the server ended at once ({status}):\n{}", log_since(before).trim_end())
        }
        if answers(address) {
            return Ok(());
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    bail!(Input, "the server does not answer at {address} after {} s: see {LOG}", TIME_TO_START.as_secs())
}

/// Whether a server answers `/ping` as healthy.
fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, BETWEEN_LOOKS)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok::<_, std::io::Error>(reply)
    };
    ask().is_ok_and(|reply| reply.starts_with("HTTP/1.1 200"))
}

fn stop() -> Result<()> {
    let Some(pid) = running_pid() else {
        bail!(Input, "no server was started in this folder with --start, or it has ended")
    };
    let told = Command::new("kill").arg(pid.to_string()).status();
    if !told.is_ok_and(|status| status.success()) {
        bail!(Input, "process {pid} cannot be told to end")
    }
    let begun = Instant::now();
    while running_pid().is_some() {
        if begun.elapsed() > TIME_TO_STOP {
            bail!(Input, "process {pid} is still answering requests after {} s", TIME_TO_STOP.as_secs())
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    let _ = std::fs::remove_file(PID);
    say("ended");
    Ok(())
}

/// The process that was started in this folder, if it is still there.
fn running_pid() -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(PID).ok()?.trim().parse().ok()?;
    let status = Command::new("ps").args(["-o", "stat=,args=", "-p", &pid.to_string()]).output().ok()?;
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    // Another program's process may have this number by now.
    let program = std::env::current_exe().ok()?.file_name()?.to_string_lossy().into_owned();
    let ours = shown.contains(&program) && shown.contains(" serve ") && shown.contains("--foreground");
    (ours && !shown.starts_with('Z')).then_some(pid)
}
