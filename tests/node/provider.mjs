// The certified OpenID provider as the journeys' identity provider, on a free loopback port.
//
//   node provider.mjs [--modules DIR] [--algorithm RS256|ES256|PS256|EdDSA]
//
// The first line on stdout is {"issuer": URL, "kid": KID}. Each line on stdin is an operation, and
// each is answered by one line, {"ok": true, ...} or {"ok": false, "error": TEXT}:
//   {"op": "token", "sub": S, "groups": [...], "claims": {...}, "audience": A, "ttl_s": N}
//       -> {"token": JWT}: made by the provider's own token endpoint for a client named S
//   {"op": "rotate"}             -> {"kid": K}: a new key, which signs from now on; old ones stay
//   {"op": "remove", "kid": K}   -> {"kids": [...]}: the key is no longer published
//   {"op": "counts"}             -> {"discovery": N, "jwks": N}: fetches seen so far
// The end of stdin ends the program.

import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { answerLines, loadProvider, newKey, say } from "./library.mjs";

const { values: flags } = parseArgs({
  options: {
    modules: { type: "string", default: process.env.PENSTOCK_NODE_MODULES },
    algorithm: { type: "string", default: "RS256" },
  },
});

const Provider = await loadProvider(flags.modules);
const clients = new Map(); // client id -> { metadata, claims, ttl }
const counts = { discovery: 0, jwks: 0 };
let keys = [await newKey(flags.algorithm)];
let issuer;
let handle;

// Clients are made while the provider runs, so it asks for them here; nothing else is stored,
// since tokens are JWTs.
class Adapter {
  constructor(model) {
    this.model = model;
  }

  async find(id) {
    return this.model === "Client" ? clients.get(id)?.metadata : undefined;
  }

  async upsert() {}

  async destroy() {}
}

function resourceServer(_context, resource) {
  return {
    scope: "",
    audience: resource.slice("urn:".length),
    accessTokenFormat: "jwt",
    jwt: { sign: { alg: flags.algorithm } },
  };
}

// The provider takes its keys once, so other keys mean another provider on the same address.
function restart() {
  const provider = new Provider(issuer, {
    adapter: Adapter,
    jwks: { keys },
    clientDefaults: { id_token_signed_response_alg: flags.algorithm },
    enabledJWA: { idTokenSigningAlgValues: [flags.algorithm] },
    ttl: { ClientCredentials: (_context, _token, client) => clients.get(client.clientId).ttl },
    extraTokenClaims: (_context, token) => clients.get(token.clientId).claims,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "urn:penstock",
        getResourceServerInfo: resourceServer,
      },
    },
  });
  handle = provider.callback();
}

async function token({ sub, groups = [], claims = {}, audience = "penstock", ttl_s = 600 }) {
  const secret = randomBytes(32).toString("base64url");
  const metadata = {
    client_id: sub,
    client_secret: secret,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "client_secret_post",
  };
  clients.set(sub, { metadata, claims: { groups, ...claims }, ttl: ttl_s });
  const response = await fetch(`${issuer}/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: sub,
      client_secret: secret,
      resource: `urn:${audience}`,
    }),
  });
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(`the token endpoint answered ${response.status}: ${answer.error_description}`);
  }
  return { token: answer.access_token };
}

const operations = {
  token,
  async rotate() {
    keys = [await newKey(flags.algorithm), ...keys];
    restart();
    return { kid: keys[0].kid };
  },
  async remove({ kid }) {
    const left = keys.filter((key) => key.kid !== kid);
    if (left.length === keys.length) throw new Error("no such key");
    if (left.length === 0) throw new Error("the last key stays");
    keys = left;
    restart();
    return { kids: keys.map((key) => key.kid) };
  },
  async counts() {
    return counts;
  },
};

const server = createServer((request, response) => {
  if (request.url === "/.well-known/openid-configuration") counts.discovery += 1;
  if (request.url === "/jwks") counts.jwks += 1;
  handle(request, response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
issuer = `http://127.0.0.1:${server.address().port}`;
restart();
say({ issuer, kid: keys[0].kid });

await answerLines(operations);
process.exit(0);
