// What the page's main thread does, from Chromium's own trace: processor time of its tasks, so that
// other work on the machine counts for little.

/** Traces while `work` runs: the tasks of the page's main thread, and what it counted. */
export async function traced(tab, work) {
  const session = await tab.page.context().newCDPSession(tab.page);
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  const includedCategories = ["devtools.timeline", "disabled-by-default-devtools.timeline"];
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories } });
  await tab.run(() => performance.mark("traced"));
  const result = await work();
  await session.send("Tracing.end");
  await complete;
  await session.detach();
  const thread = mainThread(events);
  const tasks = events.filter((event) => event.name === "RunTask" && event.ph === "X" && same(event, thread)).map((event) => ({ ms: (event.tdur ?? event.dur) / 1_000, at: event.ts / 1_000 }));
  return { result, tasks, ms: tasks.reduce((sum, task) => sum + task.ms, 0), events: events.filter((event) => same(event, thread)) };
}

/** The thread that set the page's mark: the main thread of the page, among those of spare processes. */
function mainThread(events) {
  const mark = events.find((event) => event.name === "EventDispatch" && event.args?.data?.type?.startsWith("key")) ?? mostBusy(events);
  if (!mark) throw new Error("nothing of the page is in the trace");
  return mark;
}

function mostBusy(events) {
  const busy = new Map();
  for (const event of events) {
    if (event.name !== "RunTask") continue;
    const key = `${event.pid} ${event.tid}`;
    const sum = busy.get(key) ?? { pid: event.pid, tid: event.tid, ms: 0 };
    sum.ms += event.tdur ?? event.dur ?? 0;
    busy.set(key, sum);
  }
  // FunctionCall is the page's script: the browser's own threads have none.
  const scripted = new Set(events.filter((event) => event.name === "FunctionCall").map((event) => `${event.pid} ${event.tid}`));
  return [...busy.values()].filter((sum) => scripted.has(`${sum.pid} ${sum.tid}`)).sort((a, b) => b.ms - a.ms)[0];
}

function same(event, thread) {
  return event.pid === thread.pid && event.tid === thread.tid;
}

/** Bytes of JavaScript's heap behind a full collection. */
export async function heapBytes(tab) {
  const session = await tab.page.context().newCDPSession(tab.page);
  await session.send("HeapProfiler.enable");
  for (let i = 0; i < 3; i++) await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

/** The value below which this share of the numbers is. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
