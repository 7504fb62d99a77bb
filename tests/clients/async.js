// SPDX-License-Identifier: MIT OR Apache-2.0
// Drives a host with npm's async-xenapi, over JSON-RPC:
//
//     async.js URL PASSWORD

"use strict";

const assert = require("node:assert/strict");
const { AsyncXenAPISession } = require("async-xenapi");

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

async function main(url, password) {
  await fails(new AsyncXenAPISession(url).login_with_password("root", "wrong"), "SESSION_AUTHENTICATION_FAILED");
  const session = new AsyncXenAPISession(url);
  await session.login_with_password("root", password);
  const { xenapi } = session;

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

  const stopped = await ended(xenapi, await xenapi.Async.VM.hard_shutdown(vm));
  assert.equal(stopped.status, "success");
  assert.equal(await xenapi.VM.get_power_state(vm), "Halted");
  const failed = await ended(xenapi, await xenapi.Async.VM.resume(vm, false, false));
  assert.equal(failed.status, "failure");
  assert.deepEqual(failed.error_info, ["VM_BAD_POWER_STATE", vm, "suspended", "halted"]);

  await xenapi.VM.destroy(vm);
  await fails(xenapi.VM.get_record(vm), '"HANDLE_INVALID"', vm);
  await fails(xenapi.VM.fly(vm), '"MESSAGE_METHOD_UNKNOWN"');
  await session.logout();
  await fails(xenapi.VM.get_all(), "Not logged in");
  console.log("client: started, heard a change, followed tasks, shut down");
}

main(process.argv[2], process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});
