import { FeedReader } from '../feed-client.ts';
import { TestOperator, until } from '../link-stage.ts';
import type { ApiProcess } from './api-process.ts';

/** The feed of data plane `dp`, as its operator follows it: when a stream ends, with what it was read from, it comes again. */
export class FollowedFeed {
  private readonly operator: TestOperator;
  private readonly link: Parameters<typeof FeedReader.open>[0];
  private reader: FeedReader;

  private constructor(operator: TestOperator, link: FollowedFeed['link'], reader: FeedReader) {
    this.operator = operator;
    this.link = link;
    this.reader = reader;
  }

  static async join(api: ApiProcess): Promise<FollowedFeed> {
    const operator = new TestOperator();
    // The link's test doubles need its address only.
    const link = { url: api.url } as FollowedFeed['link'];
    const { body } = await api.call('POST', '/v1/data-planes/dp/join-tokens', {});
    operator.identity = (await (await operator.join(link, body.token)).json()) as typeof operator.identity;
    return new FollowedFeed(operator, link, await FeedReader.open(link, operator));
  }

  /** That an order of organization `acme` is in the feed. */
  arrives(name: string, timeoutMs: number): Promise<unknown> {
    return until(
      `${name} is in the feed`,
      async () => {
        const { reader, link, operator } = this;
        if (reader.ended)
          this.reader = await FeedReader.open(link, operator, reader.position, { from: reader });
        return [...this.reader.rows.values()].some((op) => op.op === 'put' && op.key === `acme/${name}`);
      },
      timeoutMs,
    );
  }

  close(): void {
    this.reader.close();
  }
}
