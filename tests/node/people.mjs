// The certified OpenID provider for people: a public client for the command line, signing in with a
// browser or with a code on another device, and a browser that does what a person would.
//
//   node people.mjs [--modules DIR] [--life SECONDS]
//
// The first line on stdout is {"issuer": URL}. Each line on stdin is an operation, and each is
// answered by one line, {"ok": true, ...} or {"ok": false, "error": TEXT}:
//   {"op": "browse", "url": URL, "sub": S, "groups": [...]}
//       -> {"status": N, "url": URL}: opens a page and signs in as S, wherever that leads in the end
//   {"op": "device", "url": URL, "code": C, "sub": S, "groups": [...], "refuse": false}
//       -> {"status": N}: types the code there, and allows or refuses what is asked
//   {"op": "counts"} -> {"refreshed": N, "revoked": N, "pending": N}: what the token endpoints saw
// Access tokens live `--life` seconds. The end of stdin ends the program.

import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { answerLines, loadProvider, newKey, say } from "./library.mjs";

const { values: flags } = parseArgs({
  options: {
    modules: { type: "string", default: process.env.PENSTOCK_NODE_MODULES },
    life: { type: "string", default: "600" },
  },
});

const Provider = await loadProvider(flags.modules);
const life = Number(flags.life);
const groups = new Map(); // sub -> groups
const counts = { refreshed: 0, revoked: 0, pending: 0 };

function resourceServer(_context, resource) {
  return {
    scope: "",
    audience: resource.slice("urn:".length),
    accessTokenTTL: life,
    accessTokenFormat: "jwt",
    jwt: { sign: { alg: "RS256" } },
  };
}

function provider(issuer, key) {
  const made = new Provider(issuer, {
    clients: [
      {
        client_id: "penstock",
        application_type: "native",
        token_endpoint_auth_method: "none",
        redirect_uris: ["http://127.0.0.1/callback"],
        response_types: ["code"],
        grant_types: [
          "authorization_code",
          "refresh_token",
          "urn:ietf:params:oauth:grant-type:device_code",
        ],
      },
    ],
    jwks: { keys: [key] },
    cookies: { keys: ["of a test"] },
    claims: { openid: ["sub"], profile: ["preferred_username"] },
    findAccount: (_context, sub) => ({
      accountId: sub,
      claims: () => ({ sub, preferred_username: sub }),
    }),
    extraTokenClaims: (_context, token) => ({ groups: groups.get(token.accountId) ?? [] }),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    features: {
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: resourceServer,
        useGrantedResource: () => true,
      },
    },
  });
  made.on("grant.success", ({ oidc }) => {
    if (oidc.params.grant_type === "refresh_token") counts.refreshed += 1;
  });
  made.on("grant.error", (_context, error) => {
    if (error.error === "authorization_pending") counts.pending += 1;
  });
  made.on("grant.revoked", () => {
    counts.revoked += 1;
  });
  return made;
}

// A browser of one visit: it keeps cookies, follows redirects, and fills in the forms that it gets.
class Browser {
  constructor(sub, refuse) {
    this.sub = sub;
    this.refuse = refuse;
    this.refused = false;
    this.cookies = new Map();
  }

  async visit(start, form) {
    let url = start;
    let body = form;
    for (let step = 0; step < 30; step += 1) {
      const response = await this.fetch(url, body);
      const location = response.headers.get("location");
      if (location) {
        [url, body] = [new URL(location, url).href, undefined];
        continue;
      }
      const page = await response.text();
      const next = response.ok ? this.filled(page) : undefined;
      if (!next) return { status: response.status, url, page };
      [url, body] = [new URL(next.action, url).href, next.fields];
    }
    throw new Error("the pages lead nowhere");
  }

  async fetch(url, body) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, {
      method: body ? "POST" : "GET",
      headers: { cookie },
      body: body && new URLSearchParams(body),
      redirect: "manual",
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair] = line.split(";");
      const at = pair.indexOf("=");
      this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return response;
  }

  // The form of a page with what a person would put into it; nothing where there is none.
  filled(page) {
    const action = /<form[^>]*action="([^"]+)"/.exec(page)?.[1];
    // Whoever refused gets the first form again, and leaves.
    if (!action || this.refused) return undefined;
    const fields = {};
    for (const [input] of page.matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]+)"/.exec(input)?.[1];
      if (name) fields[name] = /value="([^"]*)"/.exec(input)?.[1] ?? "";
    }
    if ("login" in fields) fields.login = this.sub;
    if ("user_code" in fields) fields.user_code ||= this.code ?? "";
    if (/name="confirm"|name="abort"/.test(page)) {
      delete fields[this.refuse ? "confirm" : "abort"];
      fields[this.refuse ? "abort" : "confirm"] = "yes";
      this.refused = this.refuse;
    }
    return { action: action.replaceAll("&amp;", "&"), fields };
  }
}

const operations = {
  async browse({ url, sub, groups: given = [] }) {
    groups.set(sub, given);
    const { status, url: end } = await new Browser(sub, false).visit(url);
    return { status, url: end };
  },
  async device({ url, code, sub, groups: given = [], refuse = false }) {
    groups.set(sub, given);
    const browser = new Browser(sub, refuse);
    browser.code = code;
    const { status } = await browser.visit(url);
    return { status };
  },
  async counts() {
    return counts;
  },
};

let handle;
const server = createServer((request, response) => handle(request, response));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
handle = provider(issuer, await newKey("RS256")).callback();
say({ issuer });

await answerLines(operations);
process.exit(0);
