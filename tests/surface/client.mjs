// A dozen calls of the npm package `openai`; prints one JSON object of what came back.
import fs from "node:fs";
import OpenAI, { AzureOpenAI, toFile } from "openai";

const [url, origin, path] = process.argv.slice(2);
const options = { apiKey: "sk-user", maxRetries: 0, defaultHeaders: { "x-who": "ada" } };
const client = new OpenAI({ baseURL: url, ...options });
const messages = [{ role: "user", content: "hi" }];
const got = {};

got.chat = (await client.chat.completions.create({ model: "m", messages })).choices[0].message.content;

got.stream = "";
for await (const chunk of await client.chat.completions.create({ model: "m", messages, stream: true })) {
  got.stream += chunk.choices[0]?.delta?.content ?? "";
}

const events = client.responses.stream({ model: "m", input: "hi" });
got.response = (await events.finalResponse()).output_text;

got.embedding = (await client.embeddings.create({ model: "m", input: "hi" })).data[0].embedding.length;
got.speech = (await (await client.audio.speech.create({ model: "m", voice: "alloy", input: "hi" })).arrayBuffer()).byteLength;
got.heard = (await client.audio.transcriptions.create({ model: "m", file: fs.createReadStream(path) })).text;
got.edited = (
  await client.images.edit({ model: "m", image: await toFile(Buffer.from("png"), "a.png"), prompt: "p" })
).data.length;
got.file = (await client.files.create({ file: fs.createReadStream(path), purpose: "batch" })).id;
got.content = (await (await client.files.content("file_1")).arrayBuffer()).byteLength;

got.pages = [];
for await (const file of client.files.list({ limit: 1 })) got.pages.push(file.id);

const raw = await client.models.list().withResponse();
got.models = raw.data.data.map((model) => model.id);
got.id = raw.response.headers.get("x-gateway-request-id") !== null;

got.secret = (await client.realtime.clientSecrets.create({ session: { type: "realtime", model: "m" } })).value;
got.deleted = (await client.vectorStores.delete("vs_1")).deleted;

try {
  await client.chat.completions.create({ model: "nothing", messages });
} catch (error) {
  got.refused = [error.constructor.name, error.status, error.code];
}

const azure = new AzureOpenAI({ endpoint: origin, apiVersion: "2024-10-21", ...options });
got.azure = (await azure.chat.completions.create({ model: "m", messages })).choices[0].message.content;

console.log(JSON.stringify(got));
