// Node-RED without its editor, on one flow.
"use strict";

module.exports = {
  uiHost: "127.0.0.1",
  uiPort: Number(process.env.PORT),
  userDir: process.env.DATA,
  flowFile: `${__dirname}/flows.json`,
  httpAdminRoot: false,
  credentialSecret: false,
  functionGlobalContext: { crypto: require("node:crypto") },
  logging: { console: { level: "error", metrics: false, audit: false } },
};
