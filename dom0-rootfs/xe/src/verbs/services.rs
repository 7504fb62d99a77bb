// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services of hosts, where XenServer's parameters differ from the messages'.

use xapi_model::{Value, classes};

use super::{Verb, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::parse;

pub(super) static VERBS: &[Verb] = &[
    plain(
        "user-password-change",
        &["new"],
        &["old"],
        &["session.change_password"],
        "Changes root's password. The old one need not be given on the host itself.",
        |api, params, _| {
            let old = params.get("old").unwrap_or_default();
            api.act("session.change_password", [old.into(), params.require("new")?.into()])
                .map(drop)
        },
    ),
    plain(
        "host-syslog-reconfigure",
        &["host-uuid"],
        &[],
        &["host.syslog_reconfigure"],
        "Sends a host's log to logging:syslog_destination from now on, or nowhere.",
        |api, params, _| on_host(api, params, "host.syslog_reconfigure", None),
    ),
    plain(
        "host-send-debug-keys",
        &["host-uuid", "keys"],
        &[],
        &["host.send_debug_keys"],
        "Presses keys of Xen's debug console; host-dmesg shows what they say.",
        |api, params, _| {
            let keys = params.require("keys")?.into();
            on_host(api, params, "host.send_debug_keys", Some(keys))
        },
    ),
    plain(
        "host-cpu-info",
        &[],
        &["uuid"],
        &["host.get_all_records"],
        "Prints what a host's processors are: of this host, or of the given one.",
        cpu_info,
    ),
    plain(
        "pool-enable-ssh",
        &[],
        &[],
        &["pool.enable_ssh"],
        "Lets people log in over SSH, on every host.",
        |api, _, _| on_pool(api, "pool.enable_ssh"),
    ),
    plain(
        "pool-disable-ssh",
        &[],
        &[],
        &["pool.disable_ssh"],
        "Lets nobody log in over SSH, on every host.",
        |api, _, _| on_pool(api, "pool.disable_ssh"),
    ),
    plain(
        "sdn-controller-introduce",
        &[],
        &["address", "protocol", "tcp-port"],
        &["SDN_controller.introduce"],
        "Lets a controller manage the virtual switches; prints its uuid.",
        |api, params, out| {
            let port =
                params.get("tcp-port").map_or(Ok(0), |port| parse::integer("tcp-port", port));
            let call = [
                params.get("protocol").unwrap_or("ssl").into(),
                params.get("address").unwrap_or_default().into(),
                Value::Int(port?),
            ];
            let made = api.act("SDN_controller.introduce", call)?;
            let uuid = api.uuid_of("SDN_controller", &made.text())?;
            out.value(&uuid)
        },
    ),
    plain(
        "pool-set-vswitch-controller",
        &["address"],
        &[],
        &["pool.set_vswitch_controller"],
        "Lets the controller at an address manage the virtual switches.",
        |api, params, _| {
            let address = params.require("address")?.into();
            api.act("pool.set_vswitch_controller", [address]).map(drop)
        },
    ),
    plain(
        "host-server-certificate-install",
        &["certificate", "private-key"],
        &["certificate-chain", "host-uuid"],
        &["host.install_server_certificate"],
        "Shows another TLS certificate; the parameters name files with PEM. Without host-uuid on the only host.",
        |api, params, _| {
            let host = match params.get("host-uuid") {
                Some(uuid) => api.reference("host", uuid)?,
                None => only_host(api)?,
            };
            let chain = params.get("certificate-chain").map(read).transpose()?;
            let call = [
                host,
                read(params.require("certificate")?)?.into(),
                read(params.require("private-key")?)?.into(),
                chain.unwrap_or_default().into(),
            ];
            api.act("host.install_server_certificate", call).map(drop)
        },
    ),
    plain(
        "pool-install-ca-certificate",
        &["filename"],
        &[],
        &["pool.install_ca_certificate"],
        "Trusts an authority, whose file's name ends with .pem.",
        |api, params, _| trust(api, params, "pool.install_ca_certificate"),
    ),
    plain(
        "pool-certificate-install",
        &["filename"],
        &[],
        &["pool.certificate_install"],
        "The same, by its older name.",
        |api, params, _| trust(api, params, "pool.certificate_install"),
    ),
    plain(
        "pool-certificate-list",
        &[],
        &[],
        &["pool.certificate_list"],
        "Names of the authorities that are trusted.",
        |api, _, out| {
            for name in api.ask("pool.certificate_list", [])?.as_set().unwrap_or_default() {
                out.value(&name.text())?;
            }
            Ok(())
        },
    ),
    plain(
        "pool-send-test-post",
        &["dest-host", "dest-port", "body"],
        &[],
        &["pool.send_test_post"],
        "Sends a text by HTTPS and prints the answer: whether the authorities are the right ones.",
        |api, params, out| {
            let port = parse::integer("dest-port", params.require("dest-port")?)?;
            let (host, body) = (params.require("dest-host")?, params.require("body")?);
            let call = [host.into(), Value::Int(port), body.into()];
            let said = api.act("pool.send_test_post", call)?.text();
            out.value(&said)
        },
    ),
    plain(
        "host-crashdump-upload",
        &["uuid", "url"],
        &["http_proxy"],
        &["host_crashdump.upload"],
        "Sends what is left of a crash to a URL, by PUT.",
        |api, params, _| {
            let crash = api.reference("host_crashdump", params.require("uuid")?)?;
            let proxy = params.get("http_proxy").map(|proxy| ("http_proxy", proxy));
            let options = Value::string_map(proxy);
            let call = [crash, params.require("url")?.into(), options];
            api.act("host_crashdump.upload", call).map(drop)
        },
    ),
];

fn cpu_info(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let host = match params.get("uuid") {
        Some(uuid) => api.by_uuid(&classes::HOST, uuid)?.1,
        None => {
            let master = api.records(&classes::POOL)?.values().next().map(|p| text(p, "master"));
            let hosts = api.records(&classes::HOST)?;
            let host = hosts.get(&master.unwrap_or_default());
            host.cloned().ok_or_else(|| Failure::plain("The pool has no host"))?
        }
    };
    let facts = host.get("cpu_info").and_then(Value::as_map).cloned().unwrap_or_default();
    let row = facts.into_iter().map(|(name, value)| (name, value.text())).collect();
    out.records(&[row])
}

fn read(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::plain(format!("{path}: {error}")))
}

fn trust(api: &mut Api, params: &Params, method: &str) -> Result<(), Failure> {
    let path = params.require("filename")?;
    let name = path.rsplit('/').next().unwrap_or(path);
    api.act(method, [name.into(), read(path)?.into()]).map(drop)
}

fn only_host(api: &mut Api) -> Result<Value, Failure> {
    let hosts: Vec<String> = api.records(&classes::HOST)?.keys().cloned().collect();
    match hosts.as_slice() {
        [host] => Ok(Value::Ref(xapi_model::Ref::new(host))),
        _ => Err(Failure::Missing("host-uuid".to_owned())),
    }
}

fn on_host(
    api: &mut Api,
    params: &Params,
    method: &str,
    more: Option<Value>,
) -> Result<(), Failure> {
    let host = api.reference("host", params.require("host-uuid")?)?;
    api.act(method, std::iter::once(host).chain(more)).map(drop)
}

fn on_pool(api: &mut Api, method: &str) -> Result<(), Failure> {
    let pools: Vec<String> = api.records(&classes::POOL)?.keys().cloned().collect();
    for pool in pools {
        api.act(method, [Value::Ref(xapi_model::Ref::new(&pool))])?;
    }
    Ok(())
}
