import { startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { FeedReader } from '../feed-client.ts';
import { TestOperator } from '../link-stage.ts';
import { ApiProcess } from './api-process.ts';
import { tinyBlueprint } from './tiny-blueprint.ts';

/** The API with an organization `acme`, a Blueprint `tiny` and a data plane `dp`, whose operator is the test itself. */
export async function startLinkedApi(name: string) {
  const server = await startPostgres({ name });
  const url = await server.createDatabase('felucca');
  const api = await ApiProcess.start(url);
  const database = new pg.Pool({ connectionString: url });
  database.on('error', () => {});
  // The link's test doubles need its address only.
  const link = { url: api.url } as Parameters<typeof FeedReader.open>[0];
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  await api.call('POST', '/v1/blueprints', tinyBlueprint());
  const operator = new TestOperator();
  const { body } = await api.call('POST', '/v1/data-planes/dp/join-tokens', {});
  operator.identity = (await (await operator.join(link, body.token)).json()) as typeof operator.identity;
  const reader = await FeedReader.open(link, operator);
  let seq = 0;
  const nextSeq = (): number => ++seq;
  return {
    api,
    database,
    databaseUrl: url,
    operator,
    reader,
    nextSeq,
    report: (lists: object) =>
      operator.report(link, {
        session: reader.hello.session,
        epoch: reader.epoch,
        seq: nextSeq(),
        ...lists,
      }),
    async stop(): Promise<void> {
      reader.close();
      await database.end();
      await api.stop();
      await server.stop();
    },
  };
}
