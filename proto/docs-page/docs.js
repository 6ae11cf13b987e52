// Shows /openapi.json. Everything from the document becomes text nodes: nothing in it can become markup.

const VERBS = ["get", "put", "post", "patch", "delete"];
const byId = (id) => document.getElementById(id);

/** An element with attributes, and children that are elements or text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** Text in which `code` is set as code. */
function inline(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

/** The part of Markdown that the document uses: headings, tables, lists, paragraphs. */
function markdown(text) {
  return text.split(/\n{2,}/).flatMap((block) => {
    if (block.startsWith("## ")) return [el("h2", {}, block.slice(3))];
    const lines = block.split("\n").filter((line) => line !== "");
    if (lines.length > 1 && lines[0].startsWith("|")) {
      const cells = (line) => line.split("|").slice(1, -1).map((cell) => cell.trim());
      return [table(cells(lines[0]), lines.slice(2).map((line) => cells(line).map(inline)))];
    }
    const items = lines.filter((line) => line.startsWith("- "));
    const rest = lines.filter((line) => !line.startsWith("- "));
    return [
      rest.length > 0 ? el("p", {}, inline(rest.join(" "))) : null,
      items.length > 0 ? el("ul", {}, items.map((item) => el("li", {}, inline(item.slice(2))))) : null,
    ].filter((node) => node != null);
  });
}

function table(head, rows) {
  const row = (cells, kind) => el("tr", {}, cells.map((cell) => el(kind, {}, cell)));
  return el("div", { class: "scroll", tabindex: "0" },
    el("table", {}, el("thead", {}, row(head, "th")), el("tbody", {}, rows.map((cells) => row(cells, "td")))));
}

const refName = (schema) => schema.$ref?.split("/").pop();

/** A schema in a few words, with a link where it is named. */
function type(schema) {
  const name = refName(schema);
  if (name) return [el("a", { href: `#schema-${name}` }, name)];
  if (schema.type === "array") return ["list of ", ...type(schema.items)];
  return [[schema.format ?? schema.type, schema.contentEncoding].filter(Boolean).join(", ")];
}

/** A value of the schema to begin with, without the fields that `path` holds; `seen` ends recursion. */
function example(spec, schema, path, seen = []) {
  const name = refName(schema);
  if (name) {
    return seen.includes(name) ? {} : example(spec, spec.components.schemas[name], path, [...seen, name]);
  }
  if (schema.enum) return schema.enum[0];
  if (schema.type === "object") {
    const inPath = (key) => path.includes(`{${key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)}}`);
    const entries = Object.entries(schema.properties ?? {}).filter(([key]) => !inPath(key));
    // Browsers make UUIDs on https and localhost alone.
    const value = (key, inner) => (key === "clientMsgId" ? (crypto.randomUUID?.() ?? "") : example(spec, inner, path, seen));
    return Object.fromEntries(entries.map(([key, inner]) => [key, value(key, inner)]));
  }
  if (schema.type === "array") return [];
  if (schema.type === "boolean") return false;
  if (schema.type === "integer") return 0;
  return schema.format === "int64" || schema.format === "uint64" ? "0" : "";
}

function operationCard(spec, path, verb, operation) {
  const schemaOf = (response) => (response.$ref ? spec.components.responses[refName(response)] : response);
  const body = operation.requestBody?.content["application/json"].schema;
  const parameters = operation.parameters.map((p) => [
    el("code", {}, p.name), `${p.in}${p.required ? ", required" : ""}`, type(p.schema), inline(p.description ?? ""),
  ]);
  const responses = Object.entries(operation.responses).map(([status, response]) => {
    const full = schemaOf(response);
    return [status, type(full.content["application/json"].schema), inline(full.description)];
  });
  return el("article", { class: "card", id: `op-${operation.operationId}` },
    el("h3", {},
      el("span", { class: `verb ${verb}` }, verb.toUpperCase()), el("code", {}, path), el("span", { class: "quiet" }, operation.operationId),
      el("span", { class: "quiet open" }, operation.security.length === 0 ? "no token needed" : "needs a token")),
    markdown(operation.description || operation.summary),
    parameters.length > 0 ? [el("h4", {}, "Parameters"), table(["name", "where", "type", ""], parameters)] : null,
    body ? [el("h4", {}, "Body"), el("p", {}, type(body), operation.requestBody.description ? `: ${operation.requestBody.description}` : "")] : null,
    el("h4", {}, "Answers"), table(["status", "body", ""], responses),
    tryIt(spec, path, verb, operation, body));
}

function tryIt(spec, path, verb, operation, body) {
  const form = el("form", {},
    operation.parameters.map((p) => el("label", {}, p.name, el("input", { name: p.name, "data-in": p.in, required: p.required, autocomplete: "off" }))),
    body ? el("label", {}, "Body", el("textarea", { name: "body", rows: "6", spellcheck: "false" })) : null,
    el("button", {}, "Send"));
  const status = el("p", { class: "status", role: "status" });
  const output = el("pre", { tabindex: "0", hidden: true });
  const details = el("details", {}, el("summary", {}, "Try it"), form, status, output);
  details.addEventListener("toggle", () => {
    const area = form.elements.namedItem("body");
    if (details.open && area && area.value === "") area.value = JSON.stringify(example(spec, body, path), null, 2);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await send(path, verb, form, status, output);
    } catch (error) {
      status.className = "status bad";
      status.textContent = `No answer: ${error.message}`;
      output.hidden = true;
    } finally {
      button.disabled = false;
    }
  });
  return details;
}

async function send(path, verb, form, status, output) {
  const query = new URLSearchParams();
  let target = path;
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.in === "path") target = target.replace(`{${input.name}}`, () => encodeURIComponent(input.value));
    else if (input.value !== "") query.append(input.name, input.value);
  }
  const headers = {};
  const token = byId("token").value.trim();
  if (token !== "") headers.authorization = `Bearer ${token}`;
  const area = form.elements.namedItem("body");
  if (area) headers["content-type"] = "application/json";
  const began = performance.now();
  const url = query.size > 0 ? `${target}?${query}` : target;
  const response = await fetch(url, { method: verb.toUpperCase(), headers, body: area?.value });
  const text = await response.text();
  const value = parsed(text);
  status.className = response.ok ? "status" : "status bad";
  status.textContent = `${response.status} in ${Math.round(performance.now() - began)} ms`;
  output.textContent = value === undefined ? text : JSON.stringify(value, null, 2);
  output.hidden = false;
  if (response.ok && typeof value?.accessToken === "string") {
    byId("token").value = value.accessToken;
    status.textContent += ": its token is used from now on";
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function schemaCard(name, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([key, inner]) => [
    el("code", {}, key), type(inner), inline(inner.description ?? ""),
  ]);
  return el("article", { class: "card", id: `schema-${name}` },
    el("h3", {}, name),
    schema.description ? markdown(schema.description) : null,
    schema.enum ? el("p", {}, schema.enum.flatMap((value, index) => [index ? ", " : "", el("code", {}, value)])) : null,
    rows.length > 0 ? table(["field", "type", ""], rows) : null);
}

function render(spec) {
  byId("version").textContent = spec.info.version;
  const main = [el("section", { id: "about" }, markdown(spec.info.description))];
  const links = [el("a", { href: "#about" }, "About, errors, limits")];
  for (const tag of spec.tags) {
    main.push(el("h2", {}, tag.name), el("p", { class: "quiet" }, tag.description));
    links.push(el("h4", {}, tag.name));
    for (const [path, verbs] of Object.entries(spec.paths)) {
      for (const verb of VERBS.filter((v) => verbs[v]?.tags.includes(tag.name))) {
        const operation = verbs[verb];
        main.push(operationCard(spec, path, verb, operation));
        links.push(el("a", { href: `#op-${operation.operationId}`, title: operation.summary },
          el("span", { class: `verb ${verb}` }, verb.toUpperCase()), operation.operationId));
      }
    }
  }
  main.push(el("h2", {}, "Schemas"));
  links.push(el("h4", {}, "Schemas"));
  for (const [name, schema] of Object.entries(spec.components.schemas).sort(([a], [b]) => (a < b ? -1 : 1))) {
    main.push(schemaCard(name, schema));
    links.push(el("a", { href: `#schema-${name}` }, name));
  }
  byId("main").replaceChildren(...main);
  byId("links").replaceChildren(...links);
  byId("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const link of byId("links").querySelectorAll("a")) {
      link.hidden = !`${link.textContent} ${link.title}`.toLowerCase().includes(wanted);
    }
  });
  if (location.hash) document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.scrollIntoView();
}

try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`status ${response.status}`);
  render(await response.json());
} catch (error) {
  byId("main").replaceChildren(el("p", { role: "alert" }, `The document could not be read (${error.message}). Is the server running? Reload to try again.`));
}
