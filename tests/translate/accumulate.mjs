// What the npm package `openai` gathers of streams; prints one JSON object of it.
import OpenAI from "openai";

const [url, ...models] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "sk-user", maxRetries: 0 });
const got = {};

for (const model of models) {
  const messages = [{ role: "user", content: "hi" }];
  got[model] = {};
  try {
    const options = { model, messages, stream_options: { include_usage: true } };
    const completion = await client.chat.completions.stream(options).finalChatCompletion();
    const { message, finish_reason } = completion.choices[0];
    const calls = (message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]);
    got[model].chat = [message.content ?? "", calls, finish_reason, completion.usage.total_tokens];
  } catch (error) {
    got[model].chat = [error.constructor.name, error.message];
  }
  try {
    const final = await client.responses.stream({ model, input: "hi" }).finalResponse();
    const calls = final.output.filter((item) => item.type === "function_call").map((item) => [item.name, item.arguments]);
    const thoughts = final.output.filter((item) => item.type === "reasoning").flatMap((item) => item.summary);
    got[model].response = [
      final.output_text ?? "", calls, final.status, final.usage?.total_tokens ?? 0, thoughts.map((part) => part.text).join(""),
    ];
  } catch (error) {
    got[model].response = [error.constructor.name, error.message];
  }
}
console.log(JSON.stringify(got));
