// SPDX-License-Identifier: MIT OR Apache-2.0
// Drives a host with npm's async-xenapi, over JSON-RPC, and sees its consoles with npm's ws:
//
//     async.js simulated|installed URL PASSWORD

"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { AsyncXenAPISession } = require("async-xenapi");
const WebSocket = require("ws");

const NAME = "of npm";

// Calls what must fail; the error has the code and its words.
async function fails(call, ...words) {
  await assert.rejects(call, (error) => {
    for (const word of words) {
      assert.ok(error.message.includes(word), error.message);
    }
    return true;
  });
}

// Waits by event.from until a task has ended, and returns its record.
async function ended(xenapi, task) {
  let token = "";
  for (;;) {
    const batch = await xenapi.event.from([`task/${task}`], token, 30.5);
    token = batch.token;
    const last = batch.events.at(-1)?.snapshot;
    if (last && last.status !== "pending") {
      return last;
    }
  }
}

// Opens a guest's console of a protocol as a websocket.
async function look({ xenapi, url, session }, vm, protocol) {
  for (const console of await xenapi.VM.get_consoles(vm)) {
    const record = await xenapi.console.get_record(console);
    if (record.protocol === protocol) {
      const { pathname, search } = new URL(record.location);
      const address = new URL(`${pathname}${search}&session_id=${session}`, url);
      return new WebSocket(address, ["binary"], { rejectUnauthorized: false });
    }
  }
  throw new Error(`the guest has no console of ${protocol}`);
}

// Waits until so many bytes came.
function bytes(socket, count) {
  return new Promise((resolve, reject) => {
    let all = Buffer.alloc(0);
    const more = (data, binary) => {
      assert.ok(binary);
      all = Buffer.concat([all, data]);
      if (all.length >= count) {
        socket.off("message", more);
        resolve(all);
      }
    };
    socket.on("message", more);
    socket.on("error", reject);
  });
}

// A guest's text, which ends with it.
async function read(host, vm, stop) {
  const socket = await look(host, vm, "vt100");
  const ended = once(socket, "close");
  await once(socket, "open");
  assert.equal(socket.protocol, "binary");
  const answered = once(socket, "pong");
  socket.ping("there?");
  assert.equal(String((await answered)[0]), "there?");
  socket.send("\r");
  await stop();
  assert.equal((await ended)[0], 1000);
}

// A guest's screen: the handshake of VNC, in frames.
async function watch(host, vm) {
  const socket = await look(host, vm, "rfb");
  const ended = once(socket, "close");
  assert.equal(String(await bytes(socket, 12)), "RFB 003.008\n");
  let next = bytes(socket, 2);
  socket.send("RFB 003.008\n");
  assert.deepEqual([...(await next)], [1, 1]);
  next = bytes(socket, 4);
  socket.send(Buffer.of(1));
  assert.deepEqual([...(await next)], [0, 0, 0, 0]);
  next = bytes(socket, 24);
  socket.send(Buffer.of(1));
  assert.ok((await next).readUInt16BE(0) > 0);
  socket.close(1001);
  assert.equal((await ended)[0], 1001);
}

async function main(kind, url, password) {
  await fails(new AsyncXenAPISession(url).login_with_password("root", "wrong"), "SESSION_AUTHENTICATION_FAILED");
  const session = new AsyncXenAPISession(url);
  const { xenapi } = session;
  const host = { xenapi, url, session: await session.login_with_password("root", password) };

  const [hosts, networks, vms] = await Promise.all([
    xenapi.host.get_all_records(),
    xenapi.network.get_all_records(),
    xenapi.VM.get_all_records(),
  ]);
  assert.equal(Object.keys(hosts).length, 1);
  assert.ok(Object.keys(networks).length > 0);
  const template = Object.keys(vms).find((vm) => vms[vm].name_label === "Linux PVH (own boot loader)");
  assert.equal(typeof vms[template].memory_static_max, "number");

  const vm = await xenapi.VM.clone(template, NAME);
  await xenapi.VM.provision(vm);
  await xenapi.VM.start(vm, false, false);
  assert.equal(await xenapi.VM.get_power_state(vm), "Running");
  await fails(xenapi.VM.start(vm, false, false), '"VM_BAD_POWER_STATE"', vm, '"halted"', '"running"');

  const { events, token } = await xenapi.event.from(["vm"], "", 0);
  assert.equal(events.find((event) => event.ref === vm).snapshot.name_label, NAME);
  const [batch] = await Promise.all([
    xenapi.event.from(["vm"], token, 30.5),
    xenapi.VM.set_name_description(vm, "heard"),
  ]);
  assert.deepEqual(
    batch.events.map((event) => [event.operation, event.ref, event.snapshot.name_description]),
    [["mod", vm, "heard"]],
  );

  await read(host, vm, async () => {
    const stopped = await ended(xenapi, await xenapi.Async.VM.hard_shutdown(vm));
    assert.equal(stopped.status, "success");
  });
  assert.equal(await xenapi.VM.get_power_state(vm), "Halted");
  const failed = await ended(xenapi, await xenapi.Async.VM.resume(vm, false, false));
  assert.equal(failed.status, "failure");
  assert.deepEqual(failed.error_info, ["VM_BAD_POWER_STATE", vm, "suspended", "halted"]);

  if (kind === "simulated") {
    const other = Object.keys(vms).find((vm) => vms[vm].name_label === "Other install media");
    const hvm = await xenapi.VM.clone(other, `${NAME}, with a screen`);
    await xenapi.VM.provision(hvm);
    await xenapi.VM.start(hvm, false, false);
    await watch(host, hvm);
    await xenapi.VM.hard_shutdown(hvm);
    await xenapi.VM.destroy(hvm);
  }

  await xenapi.VM.destroy(vm);
  await fails(xenapi.VM.get_record(vm), '"HANDLE_INVALID"', vm);
  await fails(xenapi.VM.fly(vm), '"MESSAGE_METHOD_UNKNOWN"');
  await session.logout();
  await fails(xenapi.VM.get_all(), "Not logged in");
  console.log("client: started, heard a change, followed tasks, saw consoles, shut down");
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
