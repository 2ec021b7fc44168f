// Finds packages outside the clone, makes signing keys, and answers operations line by line.

import { generateKeyPair, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

// Where each algorithm's keys come from: arguments of node's generateKeyPair.
const ALGORITHMS = {
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
  PS256: ["rsa", { modulusLength: 2048 }],
  RS256: ["rsa", { modulusLength: 2048 }],
};

// A private key as a JWK with an id of its own.
export async function newKey(algorithm) {
  if (!Object.hasOwn(ALGORITHMS, algorithm)) throw new Error(`no algorithm ${algorithm}`);
  const { privateKey } = await promisify(generateKeyPair)(...ALGORITHMS[algorithm]);
  const jwk = privateKey.export({ format: "jwk" });
  return { ...jwk, kid: randomUUID(), use: "sig", alg: algorithm };
}

// A package from `modules` (a node_modules folder), or as node finds it.
export async function load(name, modules) {
  if (!modules) return import(name);
  const require = createRequire(`${modules}/`);
  return import(pathToFileURL(require.resolve(name)));
}

// The provider's class. Its notices go to stderr: stdout belongs to the answers.
export async function loadProvider(modules) {
  console.log = console.error;
  console.info = console.error;
  return (await load("oidc-provider", modules)).default;
}

// One answer on stdout.
export function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// Answers each line of stdin with what the operation that it names returns, until stdin ends.
export async function answerLines(operations) {
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const { op, ...request } = JSON.parse(line);
      if (!Object.hasOwn(operations, op)) throw new Error("no such operation");
      say({ ok: true, ...(await operations[op](request)) });
    } catch (error) {
      say({ ok: false, error: error.message });
    }
  }
}
