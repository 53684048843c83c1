"""The page at /docs: the inputs and endpoints of the model, read from /openapi.json by the browser."""

DOCS_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Model API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{overflow:auto;background:#8881;padding:1rem}
</style></head><body><h1>Model API</h1><p>Source: <a href="openapi.json">openapi.json</a></p>
<h2>Inputs</h2><table id="inputs"><tr><th>Name</th><th>Type</th><th>Default</th><th>Description</th></tr></table>
<h2>Endpoints</h2><table id="paths"><tr><th>Method</th><th>Path</th><th>Summary</th></tr></table>
<h2>Example</h2><pre id="example"></pre>
<script>
"use strict";
const row = (table, cells) => { const tr = document.getElementById(table).insertRow();
  for (const cell of cells) tr.insertCell().textContent = cell ?? ""; };
fetch("openapi.json").then(answer => answer.json()).then(doc => {
  const all = (doc.components || {}).schemas || {}, input = all.Input || all.TrainingInput || {};
  const merged = schema => Object.assign({}, ...(schema.allOf || []).map(part => all[part.$ref.split("/").pop()]), schema);
  const entries = Object.entries(input.properties || {}).map(([name, schema]) => [name, merged(schema)])
    .sort((a, b) => (a[1]["x-order"] ?? 0) - (b[1]["x-order"] ?? 0));
  for (const [name, schema] of entries) row("inputs", [name,
    schema.enum ? schema.enum.join(" | ") : (schema.format || schema.type || "any"),
    schema.default === undefined ? ((input.required || []).includes(name) ? "required" : "") : JSON.stringify(schema.default),
    schema.description]);
  for (const [path, methods] of Object.entries(doc.paths || {}))
    for (const [method, operation] of Object.entries(methods)) row("paths", [method.toUpperCase(), path, operation.summary]);
  const example = Object.fromEntries(entries.map(([name, schema]) => [name, schema.default ?? (schema.type === "string" ? "text" : 1)]));
  document.getElementById("example").textContent = "curl " + location.origin + "/predictions -H 'Content-Type: application/json' -d '"
    + JSON.stringify({input: example}).replaceAll("'", "'\\\\''") + "'";
});
</script></body></html>
"""
