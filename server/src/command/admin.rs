//! `gogochat admin`: what administrators do, for whoever has the machine.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use gogochat_core::{Argon2Cost, CoreConfig, OneTimePassword, user_name};
use gogochat_proto::ids::UserId;
use gogochat_storage::{
    open,
    store::{Act, AuditFilter, By, Store, User},
};

use super::check_config;
use crate::{
    check::Accepted,
    config::{Log, LogFormat, Sources},
    telemetry,
};

/// Makes administrators, disables and enables users, gives them access anew, and shows what was done.
/// The server may run meanwhile: it ends sessions within seconds.
#[derive(Debug, Args)]
pub(super) struct Admin {
    #[command(subcommand)]
    act: Deed,
}

/// Where the store is.
#[derive(Debug, Args)]
struct Place {
    /// The data folder, whose gogochat.db is the store.
    #[arg(long, value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// The server's TOML file, whose core.store is the store.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// With --config: a file of variables, as the EnvironmentFile= of a systemd unit.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    env_file: Option<PathBuf>,
}

/// Whom it concerns.
#[derive(Debug, Args)]
struct Named {
    #[command(flatten)]
    place: Place,
    /// The user's name.
    #[arg(long)]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Makes an account that is an administrator, and prints its one-time password; an account that is
    /// there becomes an administrator, and keeps its password.
    Create(Named),
    /// Takes the rights of an administrator from a user.
    Revoke(Named),
    /// Lists users by name, or those whose name begins so.
    Users {
        #[command(flatten)]
        place: Place,
        /// What the names begin with.
        #[arg(default_value = "")]
        query: String,
    },
    /// Disables a user: their sessions end, and they cannot log in.
    Disable {
        #[command(flatten)]
        named: Named,
        /// For the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Enables a user.
    Enable(Named),
    /// Prints a one-time password that takes the place of a user's, forgets their second factor, and signs
    /// their devices out.
    Reset(Named),
    /// Lists the devices on which a user is signed in.
    Devices(Named),
    /// Signs all devices of a user out.
    SignOut(Named),
    /// Prints the audit log, the latest first.
    Audit {
        #[command(flatten)]
        place: Place,
        /// What this user did, and what concerns them.
        #[arg(long)]
        name: Option<String>,
        /// How many entries.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

impl Admin {
    pub(super) fn run(self) -> anyhow::Result<()> {
        telemetry::start_logs(&Log { format: LogFormat::Text, level: "warn".into() })?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
            let store = self.act.place().open(matches!(self.act, Deed::Create(_))).await?;
            let done = self.act.run(store.as_ref()).await;
            store.close().await;
            done
        })
    }
}

impl Place {
    /// `may_be_new`: the first administrator may come before the first start of the server.
    async fn open(&self, may_be_new: bool) -> anyhow::Result<Arc<dyn Store>> {
        let url = match &self.data {
            Some(data) => {
                if !data.is_dir() {
                    bail!("--data: there is no folder {}", data.display());
                }
                format!("sqlite:{}", data.join("gogochat.db").display())
            }
            None => self.configured()?,
        };
        if let Some(file) = url.strip_prefix("sqlite:")
            && !may_be_new
            && !Path::new(file).exists()
        {
            bail!("there is no store at {file}: name the data folder, or the configuration, of the server");
        }
        Ok(Arc::new(open::open_store(&url).await?))
    }

    fn configured(&self) -> anyhow::Result<String> {
        let (file, env_file) = (self.config.as_deref(), self.env_file.as_deref());
        let sources = Sources { file, env_file, roles: Vec::new(), services: Vec::new() };
        let Accepted { config, .. } = check_config::load(&sources, None)?;
        Ok(config.store_url())
    }
}

impl Deed {
    fn place(&self) -> &Place {
        match self {
            Self::Create(named)
            | Self::Revoke(named)
            | Self::Disable { named, .. }
            | Self::Enable(named)
            | Self::Reset(named)
            | Self::Devices(named)
            | Self::SignOut(named) => &named.place,
            Self::Users { place, .. } | Self::Audit { place, .. } => place,
        }
    }

    async fn run(self, store: &dyn Store) -> anyhow::Result<()> {
        let by = By { actor: None, address: String::new(), now: now_ms() };
        match self {
            Self::Create(named) => create(store, &named.name, &by).await,
            Self::Revoke(named) => {
                let user = find(store, &named.name).await?;
                store.set_administrator(user.id, false, &by).await?;
                say(&format!("{} is no administrator", user.name))
            }
            Self::Users { query, .. } => list(store, &query.to_lowercase()).await,
            Self::Disable { named, reason } => {
                let user = find(store, &named.name).await?;
                let gone = store.set_disabled(user.id, true, reason.trim(), &by).await?;
                say(&format!("{} is disabled: {}", user.name, signed_out(gone.unwrap_or_default().len())))
            }
            Self::Enable(named) => {
                let user = find(store, &named.name).await?;
                store.set_disabled(user.id, false, "", &by).await?;
                say(&format!("{} is enabled", user.name))
            }
            Self::Reset(named) => {
                let user = find(store, &named.name).await?;
                let new = OneTimePassword::draw(cost())?;
                let gone = store.reset_access(user.id, &new.hash, by.now + new.lives_ms, &by).await?;
                tell(&user.name, &new)?;
                say(&signed_out(gone.unwrap_or_default().len()))
            }
            Self::Devices(named) => {
                let user = find(store, &named.name).await?;
                for device in store.devices(user.id).await? {
                    say(&format!("{}  {}  {}  {}", time(device.last_seen_ms), device.id, device.address, device.name))?;
                }
                Ok(())
            }
            Self::SignOut(named) => {
                let user = find(store, &named.name).await?;
                say(&signed_out(store.sign_out_user(user.id, None, &by).await?.len()))
            }
            Self::Audit { name, limit, .. } => audit(store, name.as_deref(), limit).await,
        }
    }
}

async fn create(store: &dyn Store, name: &str, by: &By) -> anyhow::Result<()> {
    let name = user_name(name).map_err(|error| anyhow!("--name: {}", error.message))?;
    if let Some(user) = store.user_by_name(&name).await? {
        store.set_administrator(user.id, true, by).await?;
        return say(&format!("{name} is an administrator now, and keeps the password"));
    }
    let new = OneTimePassword::draw(cost())?;
    let mut user = User::new(UserId::new_v7(), name.clone(), name.clone(), new.hash.clone(), by.now);
    user.administrator_ms = Some(by.now);
    user.one_time_until_ms = Some(by.now + new.lives_ms);
    if !store.create_user_alone(user, by).await? {
        bail!("somebody has taken the name {name} in this moment: run this again");
    }
    tell(&name, &new)
}

/// The password stands alone on its line, for scripts.
fn tell(name: &str, new: &OneTimePassword) -> anyhow::Result<()> {
    let until = time(now_ms() + new.lives_ms);
    writeln!(std::io::stderr(), "{name} logs in with this password once, until {until}, and chooses another then:")?;
    say(&new.password)
}

async fn list(store: &dyn Store, prefix: &str) -> anyhow::Result<()> {
    let mut after = String::new();
    loop {
        let page = store.list_users(prefix, &after, PAGE).await?;
        for user in &page {
            let mut marks = Vec::new();
            marks.extend(user.administrator_ms.map(|_| "administrator"));
            marks.extend(user.disabled_ms.map(|_| "disabled"));
            marks.extend(user.one_time_until_ms.map(|_| "one-time password"));
            let marks = marks.join(", ");
            say(format!("{}  {}  {}  {marks}", time(user.created_ms), user.name, user.display_name).trim_end())?;
        }
        let Some(last) = page.last().filter(|_| page.len() == PAGE as usize) else { return Ok(()) };
        after.clone_from(&last.name);
    }
}

async fn audit(store: &dyn Store, name: Option<&str>, limit: usize) -> anyhow::Result<()> {
    let user = match name {
        Some(name) => Some(find(store, name).await?.id),
        None => None,
    };
    let (mut left, mut before) = (limit, None);
    while left > 0 {
        let wanted = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = store.audit(AuditFilter { user, act: None }, before, wanted).await?;
        let ids: Vec<_> = page.entries.iter().flat_map(|entry| [entry.by.actor, entry.subject]).flatten().collect();
        let users = store.users(&ids).await?;
        let named = |id: Option<UserId>| {
            let user = users.iter().find(|user| Some(user.id) == id).map(|user| user.name.clone());
            user.or_else(|| id.map(|id| id.to_string()))
        };
        for entry in &page.entries {
            let actor = named(entry.by.actor).unwrap_or_else(|| "the command line".to_owned());
            let subject = named(entry.subject).filter(|subject| *subject != actor).unwrap_or_default();
            let line = [
                time(entry.by.now),
                actor,
                word(entry.act).to_owned(),
                subject,
                entry.by.address.clone(),
                entry.detail.clone(),
            ];
            say(line.join("  ").trim_end())?;
        }
        left -= page.entries.len().min(left);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(())
}

async fn find(store: &dyn Store, name: &str) -> anyhow::Result<User> {
    let found = store.user_by_name(&name.to_lowercase()).await?;
    found.with_context(|| format!("--name: nobody is called {name}"))
}

fn word(act: Act) -> &'static str {
    match act {
        Act::Registered => "registered",
        Act::LoggedIn => "logged in",
        Act::PasswordChanged => "changed the password",
        Act::Disabled => "disabled",
        Act::Enabled => "enabled",
        Act::AdministratorMade => "made an administrator of",
        Act::AdministratorEnded => "took the administrator's rights from",
        Act::AccessReset => "gave a one-time password to",
        Act::SignedOut => "signed out",
        Act::Invited => "made an invitation",
        Act::SecondFactorOn => "turned a second factor on",
        Act::SecondFactorOff => "turned the second factor off of",
    }
}

fn signed_out(devices: usize) -> String {
    match devices {
        1 => "1 device was signed out".to_owned(),
        n => format!("{n} devices were signed out"),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{line}").and_then(|()| out.flush())?)
}

/// "2026-11-30 17:04:05Z"
fn time(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1_000);
    // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let moved = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * moved + 2) / 5 + 1, if moved < 10 { moved + 3 } else { moved - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// As a core's.
fn cost() -> Argon2Cost {
    CoreConfig::default().argon2
}

const DAY_MS: i64 = 24 * 3_600 * 1_000;
const PAGE: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
        assert_eq!(time(951_827_696_789), "2000-02-29 12:34:56Z");
        assert_eq!(time(1_798_761_599_999), "2026-12-31 23:59:59Z");
    }
}
