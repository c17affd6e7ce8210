import { randomBytes } from 'node:crypto';
import { type HelloFrame, NO_BUCKETS, PROTO, type SyncQuery, syncQuerySchema } from '@felucca/contract';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../http/problems.ts';
import type { OperatorAuth, OperatorIdentity } from '../link/authenticate.ts';
import { invalidBody } from '../link/invalid.ts';
import { frameLine } from './frames.ts';
import { mintEpochFor } from './lineage.ts';
import { decideResume, type OperatorPosition, type ResumeDecision } from './resume.ts';
import type { Head } from './rows.ts';
import type { Feed } from './service.ts';
import { Overloaded } from './sessions.ts';
import { FeedStream } from './stream.ts';

export interface FeedPluginOptions {
  feed: Feed;
  auth: OperatorAuth;
}

/**
 * GET /v1/data-planes/{id}/sync: NDJSON frames as a stream, or as a long poll with `?wait=<seconds>`.
 * Closing the server drains the streams first.
 */
export const feedPlugin: FastifyPluginAsync<FeedPluginOptions> = async (app, { feed, auth }) => {
  app.addHook('preClose', async () => void feed.hub.drainAll());
  app.get('/v1/data-planes/:id/sync', { schema: { hide: true } }, async (request, reply) => {
    refuseCrowd(feed);
    const identity = await auth(request);
    const query = readQuery(request, reply);
    // Only whoever is known uses up what others may want.
    if (!feed.admission.take()) throw crowded(feed);
    try {
      return await answer(feed, request, reply, identity, query);
    } finally {
      feed.admission.answered();
    }
  });
};

async function answer(
  feed: Feed,
  request: FastifyRequest,
  reply: FastifyReply,
  identity: OperatorIdentity,
  query: SyncQuery,
): Promise<FastifyReply> {
  const session = randomBytes(12).toString('base64url');
  const claim = await feed
    .claim({
      dataPlaneId: identity.dataPlaneId,
      session,
      keyId: identity.keyId,
      term: query.term,
      instance: query.instance,
      isOver: () => request.raw.socket.destroyed,
    })
    .catch((error: unknown) => {
      throw error instanceof Overloaded ? busy(feed, error.message) : error;
    });
  if (request.raw.socket.destroyed) return reply.hijack();
  if (!claim) throw noFeed();
  if (!claim.granted) return supersede(feed, reply);
  // Other processes may hold the session that just lost.
  feed.wake.committed([identity.dataPlaneId]);
  const { decision, head, buckets } = await decide(feed, query, claim.head);
  if (request.raw.socket.destroyed) return reply.hijack();
  if (feed.hub.draining) throw busy(feed, 'This process is shutting down');
  if (buckets) return tellDigests(feed, reply, session, head, buckets);
  begin(feed, reply, { ...identity, session }, query, decision, { ...head, session });
  return reply;
}

function readQuery(request: FastifyRequest, reply: FastifyReply): SyncQuery {
  const { proto } = request.query as { proto?: string };
  if (proto !== String(PROTO)) {
    void reply.header('upgrade', `felucca/${PROTO}`);
    throw new Problem(
      'PROTOCOL_VERSION',
      `This control plane speaks protocol ${PROTO}, the operator ${proto ?? 'none'}; ` +
        'install the operator version that belongs to the control plane.',
    );
  }
  const query = syncQuerySchema.safeParse(request.query);
  if (!query.success) throw invalidBody('sync query', query.error.issues);
  return query.data;
}

/** Before the credential: in a storm most are refused, which must cost less than to admit them. */
function refuseCrowd(feed: Feed): void {
  if (feed.hub.draining) throw busy(feed, 'This process is shutting down');
  if (feed.hub.size >= feed.settings.maxStreams)
    throw busy(feed, 'This process holds as many streams as it may');
  if (feed.admission.isExhausted()) throw crowded(feed);
}
const crowded = (feed: Feed): Problem =>
  busy(feed, 'Many operators connect at once', feed.admission.waitSeconds());

const noFeed = (): Problem =>
  new Problem('NOT_FOUND', 'The data plane has no feed; create it again and join anew.');

/** The wait is random, or a place in the queue: whoever was refused together must not come back together. */
function busy(feed: Feed, why: string, retryAfterSeconds = 1 + Math.floor(feed.random() * 5)): Problem {
  feed.metrics.hellos.inc({ result: 'refused' });
  return new Problem('UNAVAILABLE', `${why}; connect again after the Retry-After time.`, {
    retryAfterSeconds,
  });
}

type Streamed = Exclude<ResumeDecision, { mode: 'verify' }>;
type Decided =
  | { decision: Streamed; head: Head; buckets?: undefined }
  | { decision?: undefined; head: Head; buckets: string[] };

async function decide(feed: Feed, query: SyncQuery, head: Head): Promise<Decided> {
  const { epoch, digest, repair } = query;
  const operator = { epoch, cursor: BigInt(query.cursor), digest, canVerify: query.verify !== undefined };
  const decision = decideResume(repair === undefined ? operator : { ...operator, repair }, head);
  if (decision.mode === 'verify') return verify(feed, query, operator, head);
  return settle(feed, query, decision, head);
}

/** The rows may have another digest than their counter said; then that of the operator may be right. */
async function verify(
  feed: Feed,
  query: SyncQuery,
  operator: OperatorPosition,
  head: Head,
): Promise<Decided> {
  const found = await feed.digests(head.dataPlaneId);
  if (!found) throw noFeed();
  const decision = decideResume(operator, found.head);
  if (decision.mode !== 'verify') return settle(feed, query, decision, found.head);
  feed.metrics.hellos.inc({ result: 'verify' });
  return { head: found.head, buckets: found.buckets };
}

async function settle(feed: Feed, query: SyncQuery, decision: Streamed, head: Head): Promise<Decided> {
  const { epoch } = query;
  if (decision.mode === 'resume') {
    feed.metrics.hellos.inc({ result: decision.from === head.head ? 'current' : 'delta' });
    if (decision.repair !== undefined && decision.repair !== NO_BUCKETS)
      feed.metrics.resyncs.inc({ reason: 'repair' });
    return { decision, head };
  }
  feed.metrics.hellos.inc({ result: 'reset' });
  feed.metrics.resyncs.inc({ reason: decision.reason.toLowerCase() });
  if (!decision.newEpoch) return { decision, head };
  // The row was read after the request came, so no cache is behind: the database went back in time.
  feed.metrics.epochs.inc({ reason: 'cursor_ahead' });
  feed.logger.error(
    { dataPlaneId: head.dataPlaneId, cursor: query.cursor, head: String(head.head), epoch },
    'an operator knows revisions that this database does not have; was a backup restored? a new epoch begins',
  );
  const minted = await mintEpochFor(feed.pool, head.dataPlaneId, head.epoch);
  return { decision, head: { ...head, epoch: minted } };
}

const HEADERS = {
  'content-type': 'application/x-ndjson',
  'cache-control': 'no-store',
  // Proxies that buffer would hold frames back.
  'x-accel-buffering': 'no',
};

function begin(
  feed: Feed,
  reply: FastifyReply,
  identity: { dataPlaneId: string; keyId: string; session: string },
  query: SyncQuery,
  decision: Streamed,
  head: Head,
): void {
  const { settings, now, random } = feed;
  const poll = query.wait !== undefined;
  const ageMs = poll
    ? query.wait! * 1_000
    : settings.minAgeMs + random() * (settings.maxAgeMs - settings.minAgeMs);
  reply.hijack();
  reply.raw.writeHead(200, HEADERS);
  reply.raw.socket?.setNoDelay(true);
  const repair = decision.mode === 'resume' ? decision.repair : undefined;
  const { heartbeatMs, slowMs, tickMs } = settings;
  const stream = new FeedStream({
    terms: {
      ...identity,
      transport: poll ? 'poll' : 'stream',
      epoch: head.epoch,
      repair,
      endsAtMs: now() + ageMs,
      heartbeatMs,
      slowMs,
      tickMs,
    },
    start:
      decision.mode === 'reset'
        ? { phase: 'snapshot', cursor: 0n, head }
        : { phase: repair === undefined ? 'tail' : 'repair', cursor: decision.from, head },
    socket: reply.raw,
    metrics: feed.metrics,
    now,
  });
  stream.greet(
    helloLine(feed, head, ageMs, {
      session: identity.session,
      mode: decision.mode,
      ...(decision.mode === 'reset' ? { reason: decision.reason } : {}),
      ...(repair === undefined ? {} : { repair }),
    }),
  );
  feed.hub.attach(stream);
}

type HelloParts = Pick<HelloFrame, 'session' | 'mode' | 'reason' | 'repair' | 'buckets'>;

const helloLine = (feed: Feed, head: Head, ageMs: number, parts: HelloParts): string =>
  frameLine({
    type: 'hello',
    proto: PROTO,
    dataPlaneId: head.dataPlaneId,
    epoch: head.epoch,
    head: String(head.head),
    digest: head.digest,
    compacted: String(head.compacted),
    heartbeatSeconds: Math.max(1, Math.round(feed.settings.heartbeatMs / 1_000)),
    maxAgeSeconds: Math.round(ageMs / 1_000),
    ...parts,
  });

function tellDigests(
  feed: Feed,
  reply: FastifyReply,
  session: string,
  head: Head,
  buckets: string[],
): FastifyReply {
  reply.hijack();
  reply.raw.writeHead(200, HEADERS);
  reply.raw.end(helloLine(feed, head, 0, { session, mode: 'verify', buckets }));
  return reply;
}

function supersede(feed: Feed, reply: FastifyReply): FastifyReply {
  feed.metrics.hellos.inc({ result: 'superseded' });
  reply.hijack();
  reply.raw.writeHead(200, HEADERS);
  reply.raw.end(
    frameLine({
      type: 'error',
      code: 'SUPERSEDED',
      message:
        'another operator holds this data plane, with a key that joined later or a newer term; stop this one. If it is ' +
        'the one that should be here, let it join again with a new token, and revoke all other keys',
      retryable: false,
    }),
  );
  return reply;
}
