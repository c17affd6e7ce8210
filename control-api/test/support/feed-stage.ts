import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { FeedReader } from '../feed-client.ts';
import { type ApiProcess, type Change, type Stage, startStage, TestOperator } from '../link-stage.ts';

/** Of the file that started it. */
export let stage: Stage;
export let api: ApiProcess;

/** A database, and a process of the API whose safety poll never comes in time. */
export async function startFeed(name: string): Promise<void> {
  stage = await startStage(name);
  api = await stage.startApi({ pollMs: 60_000 });
}
export const stopFeed = (): Promise<void> | undefined => stage?.stop();

/** A joined operator of a fresh data plane. */
export async function join(on: ApiProcess = api): Promise<TestOperator> {
  return TestOperator.joined(stage, on, await stage.createDataPlane());
}
export const row = (key: string, generation = 1): Change => ({
  key: `acme/${key}`,
  id: idOf(key),
  generation,
});
const ids = new Map<string, string>();
function idOf(key: string): string {
  const id = ids.get(key) ?? randomUUID();
  ids.set(key, id);
  return id;
}
/** Commits and wakes this API process, as its own resources do. */
export async function write(operator: TestOperator, ...changes: Change[]): Promise<bigint> {
  const head = await stage.commit(operator.dataPlaneId, ...changes);
  api.link.wake.committed([operator.dataPlaneId]);
  return head;
}
export const headOf = async (dataPlaneId: string) => {
  const { rows } = await stage.admin.query<{
    head: string;
    epoch: string;
    compacted: string;
    digest: string;
  }>(
    `SELECT head::text, epoch, compacted::text,
       lpad(to_hex(digest_a), 16, '0') || lpad(to_hex(digest_b), 16, '0') AS digest
     FROM felucca.feed_heads WHERE data_plane_id = $1`,
    [dataPlaneId],
  );
  return rows[0]!;
};
/** Moves the durable cursor of the operator to the head, as a report would. */
export async function acknowledge(reader: FeedReader, operator: TestOperator): Promise<void> {
  const { epoch, cursor, digest } = reader.position;
  const answer = await operator.report(api, {
    session: reader.hello.session,
    epoch,
    seq: 1,
    ack: { cursor, digest },
  });
  expect(answer.status).toBe(200);
}

export async function metric(process: ApiProcess, name: string): Promise<number> {
  const values = (await process.registry.getSingleMetric(name)?.get())?.values ?? [];
  return values.reduce((sum, value) => sum + value.value, 0);
}
