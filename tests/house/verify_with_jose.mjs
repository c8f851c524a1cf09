// A service in another language: verifies an access token with the issuer's JWK Set and npm's `jose` alone.
// node tests/verify_with_jose.mjs <folder with node_modules> <JWK Set URL> <issuer> <token>
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, url, issuer, token] = process.argv.slice(2);
const path = createRequire(`${folder}/package.json`).resolve("jose");
const { createRemoteJWKSet, jwtVerify } = await import(pathToFileURL(path));
try {
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(url)), {
    issuer,
    audience: issuer,
    typ: "at+jwt",
    algorithms: ["ES256", "RS256", "PS256", "EdDSA"],
  });
  console.log(JSON.stringify(payload));
} catch (error) {
  console.log(JSON.stringify({ refused: error.code }));
}
