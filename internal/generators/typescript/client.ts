// What a program of TypeScript says by openapi-fetch, with types generated from the description.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { env: Record<string, string | undefined> };

const api = createClient<paths>({ baseUrl: process.env.TACTUS_URL });

function demand(held: unknown, what: unknown): asserts held {
  if (!held) throw new Error(JSON.stringify(what));
}

const made = await api.POST("/api/v1/schedules", {
  body: { name: "by-typescript", cron_expression: "30 9 * * mon-fri", task_name: "app.hello", args: ["a", 1], kwargs: { to: "all" }, misfire_policy: "latest" },
});
demand(made.data, made.error);
const schedule: components["schemas"]["Schedule"] = made.data;
demand(schedule.enabled && schedule.kwargs.to === "all" && schedule.args.length === 2, schedule);

const path = { id: schedule.id };
const patched = await api.PATCH("/api/v1/schedules/{id}", { params: { path }, body: { misfire_policy: null, description: null, tags: ["reports"] } });
demand(patched.data?.version === 2 && patched.data.misfire_policy === "latest", patched);

const listed = await api.GET("/api/v1/schedules", { params: { query: { tag: ["reports"], page_size: 10 } } });
demand(listed.data?.schedules.length === 1, listed);

const put = await api.PUT("/api/v1/schedules/by-name/{name}", {
  params: { path: { name: "another" } }, body: { interval_seconds: 60, task_name: "app.hello" },
});
demand(put.response.status === 201 && put.data, put);

const preview = await api.POST("/api/v1/schedules/preview", { body: { cron_expression: "@daily", n: 2, after: "2041-01-01T00:00:00Z" } });
demand(preview.data?.due_times.length === 2, preview);

const calendar = await api.PUT("/api/v1/calendars/{name}", {
  params: { path: { name: "closed-too" } }, body: { days: ["2041-01-01", { from: "2041-05-03", to: "2041-05-05" }] },
});
demand(calendar.data?.size === 2, calendar);

const refused = await api.POST("/api/v1/schedules", { body: { task_name: "app.hello" } });
demand(refused.error && refused.error.errors[0].code === "trigger_missing", refused);
