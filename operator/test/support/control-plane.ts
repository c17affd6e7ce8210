import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  bucketDigests,
  bucketOf,
  digestOf,
  EMPTY_DIGEST,
  FEED_KINDS,
  type FeedKind,
  type Frame,
  formatDigest,
  hasBucket,
  joinRequestSchema,
  type Op,
  PROTO,
  type PutOp,
  type Report,
  reportSchema,
  requestClaimsSchema,
  rowDigest,
  signedBytes,
  syncQuerySchema,
} from '@felucca/contract';
import { importJWK, jwtVerify } from 'jose';

type Row = Op & { spec?: PutOp['spec'] };

/**
 * The control plane's side of the link on the contract's own frames, in memory: for the faults that the real
 * one can't be made to produce (bad signatures, gaps, silence). The loop itself is tested against the real one.
 */
export class TestControlPlane {
  readonly dataPlaneId = randomUUID();
  token = `fj_${'0'.repeat(32)}_${'A'.repeat(43)}`;
  readonly reports: Report[] = [];
  /** Keys that were sent beside the tail. */
  readonly repaired: string[] = [];
  readonly queries: { epoch: string; cursor: string; digest: string; wait?: string }[] = [];
  readonly kid = 'k1';
  epoch = 'e1';
  head = 0n;
  compacted = 0n;
  /** Answer to reports instead of accepting them. */
  reportStatus = 200;
  /** Answer to the sync request instead of a stream. */
  syncStatus = 200;
  heartbeatMs = 200;
  /** What something before the control plane answers to a join. */
  joinAnswer: { status: number; body: string } | undefined;
  joins = 0;
  /** Public key that won the token. */
  joinedKey: string | undefined;
  mute = false;
  private isTokenNew = false;
  /** Takes a token for the data plane of this name, as one does that does not ask which one the cluster is. */
  joinsAs: string | undefined;
  private readonly rows = new Map<string, Row>();
  private readonly streams = new Map<ServerResponse, { cursor: bigint }>();
  private readonly key = generateKeyPairSync('ed25519');
  private readonly server: Server;
  private readonly timer: NodeJS.Timeout;
  private sessions = 0;

  private constructor() {
    this.server = createServer((request, response) => {
      void this.handle(request, response).catch((error) => response.destroy(error as Error));
    });
    this.timer = setInterval(() => this.beat(), 50);
  }

  static async start(): Promise<TestControlPlane> {
    const plane = new TestControlPlane();
    await plane.listen();
    return plane;
  }
  private port = 0;
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
  }
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
  get connected(): number {
    return this.streams.size;
  }

  /** Nobody answers any more, until `listen()`. */
  async goAway(): Promise<void> {
    this.dropStreams();
    await new Promise((resolve) => {
      this.server.close(resolve);
      this.server.closeAllConnections();
    });
  }
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.goAway();
  }
  dropStreams(): void {
    for (const stream of this.streams.keys()) stream.destroy();
    this.streams.clear();
  }
  sendRaw(text: string): void {
    for (const stream of this.streams.keys()) stream.write(text);
  }

  put(kind: FeedKind, key: string, id: string, spec: PutOp['spec'], over: Partial<PutOp> = {}): PutOp {
    const old = this.rows.get(`${kind}/${key}`);
    const generation = old && old.id === id ? old.generation + 1 : 1;
    if (old && old.id !== id && this.endsFormer) this.bury(old);
    this.head += 1n;
    const hash = digestOf(spec);
    const row: PutOp = {
      op: 'put',
      kind,
      key,
      rev: String(this.head),
      id,
      generation,
      hash,
      spec,
      kid: this.kid,
      sig: '',
      ...over,
    };
    const { kind: k, key: name, id: rowId, generation: g } = row;
    if (!over.sig)
      row.sig = this.sign({ kind: k, key: name, id: rowId, generation: g, hash: row.hash, deleted: false });
    this.rows.set(`${kind}/${key}`, row);
    this.flush();
    return row;
  }
  del(kind: FeedKind, key: string, over: { id?: string } = {}): void {
    const old = this.rows.get(`${kind}/${key}`);
    if (!old) throw new Error(`${kind}/${key} is not there`);
    const id = over.id ?? old.id;
    if (id !== old.id) {
      this.end({ kind, key, id, generation: old.generation });
      return;
    }
    this.head += 1n;
    const generation = old.generation + 1;
    const sig = this.sign({ kind, key, id, generation, hash: '', deleted: true });
    this.rows.set(`${kind}/${key}`, {
      op: 'del',
      kind,
      key,
      rev: String(this.head),
      id,
      generation,
      kid: this.kid,
      sig,
    });
    this.flush();
  }
  /** Whether a name's next owner comes with the tombstone of the one before it, as in the real control plane. */
  endsFormer = true;
  /** The tombstone of what had a name that another resource has by now: both rows travel. */
  end(former: { kind: FeedKind; key: string; id: string; generation: number }): void {
    this.bury(former);
    this.flush();
  }
  private bury({ kind, key, id, ...former }: Parameters<TestControlPlane['end']>[0]): void {
    const generation = former.generation + 1;
    this.head += 1n;
    const rev = String(this.head);
    const sig = this.sign({ kind, key, id, generation, hash: '', deleted: true });
    const row = { op: 'del' as const, kind, key, rev, id, generation, kid: this.kid, sig };
    this.rows.set(`${kind}/${key}/${id}`, row);
  }
  /** A change of which no delta tells, as after a fault of the feed. */
  alter(kind: FeedKind, key: string, spec: PutOp['spec']): void {
    const old = this.rows.get(`${kind}/${key}`);
    if (old?.op !== 'put') throw new Error(`${kind}/${key} is not there`);
    const generation = old.generation + 1;
    const hash = digestOf(spec);
    const sig = this.sign({ kind, key, id: old.id, generation, hash, deleted: false });
    this.rows.set(`${kind}/${key}`, { ...old, generation, hash, spec, sig });
  }
  /** As a restore from a backup does: rows vanish without a tombstone. */
  forget(kind: FeedKind, key: string): void {
    this.rows.delete(`${kind}/${key}`);
  }

  get digest(): string {
    let digest = 0n;
    for (const row of this.live()) digest ^= rowDigest(row);
    return formatDigest(digest);
  }
  get statuses() {
    return this.reports.flatMap((report) => report.status);
  }
  lastStatus(kind: FeedKind, key: string) {
    return this.statuses.findLast((item) => item.kind === kind && item.key === key);
  }
  get lastAck() {
    return this.reports.findLast((report) => report.ack)?.ack;
  }
  get nacks() {
    return this.reports.flatMap((report) => report.nacks);
  }
  get drift() {
    return this.reports.flatMap((report) => report.drift);
  }

  private live(): PutOp[] {
    return [...this.rows.values()].filter((row) => row.op === 'put');
  }
  private sign(row: Omit<Parameters<typeof signedBytes>[0], 'dataPlaneId'>): string {
    return sign(null, signedBytes({ dataPlaneId: this.dataPlaneId, ...row }), this.key.privateKey).toString(
      'base64url',
    );
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    if (url.pathname === '/v1/join') this.join(await bodyOf(request), response);
    else {
      await this.authenticate(request, url.pathname);
      if (url.pathname.endsWith('/reports')) this.report(await bodyOf(request), response);
      else this.sync(url, response);
    }
  }

  /** The operator's key goes on until somebody joins with this token. */
  newToken(): void {
    this.token = `fj_${'0'.repeat(32)}_${'N'.repeat(43)}`;
    this.isTokenNew = true;
  }

  private join(body: unknown, response: ServerResponse): void {
    const { token, publicKey } = joinRequestSchema.parse(body);
    this.joins += 1;
    if (this.joinAnswer) response.writeHead(this.joinAnswer.status).end(this.joinAnswer.body);
    else if (token !== this.token || (this.joinedKey && this.joinedKey !== publicKey && !this.isTokenNew))
      json(response, 401, { code: 'UNAUTHENTICATED', detail: 'the join token has been used' });
    else {
      if (!this.joinsAs) this.joinedKey = publicKey;
      this.isTokenNew = false;
      const x = this.key.publicKey.export({ format: 'jwk' }).x!;
      const signingKeys = { [this.kid]: x };
      json(response, 200, {
        dataPlaneId: this.joinsAs ? randomUUID() : this.dataPlaneId,
        dataPlaneName: this.joinsAs ?? 'test',
        keyId: `op-${publicKey.slice(0, 8)}`,
        signingKeys,
      });
    }
  }

  private async authenticate(request: IncomingMessage, path: string): Promise<void> {
    const jwt = /^Felucca (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: this.joinedKey ?? '' }, 'EdDSA');
    const claims = requestClaimsSchema.parse((await jwtVerify(jwt, key)).payload);
    if (claims.htu !== path || claims.htm !== request.method)
      throw new Error('the token is for another request');
  }

  private report(body: unknown, response: ServerResponse): void {
    const report = reportSchema.parse(body);
    if (this.reportStatus !== 200) json(response, this.reportStatus, { detail: 'told to refuse' });
    else if (report.session !== `s${this.sessions}`)
      json(response, 409, { detail: 'another session is current' });
    else {
      if (!this.reports.some((old) => old.session === report.session && old.seq === report.seq))
        this.reports.push(report);
      json(response, 200, { seq: report.seq, accepted: report.status.length, rejected: [] });
    }
  }

  private sync(url: URL, response: ServerResponse): void {
    const raw = Object.fromEntries(url.searchParams);
    const query = syncQuerySchema.parse(raw);
    this.queries.push({
      epoch: query.epoch,
      cursor: query.cursor,
      digest: query.digest,
      ...(raw['wait'] ? { wait: raw['wait'] } : {}),
    });
    if (this.syncStatus !== 200) {
      json(response, this.syncStatus, { detail: 'told to refuse' });
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    if (this.mute && raw['wait'] === undefined) return;
    const found = this.resetReason(query);
    const verifies = found === 'DIVERGED' && query.verify !== undefined && query.repair === undefined;
    const reset = found === 'DIVERGED' && query.verify !== undefined ? undefined : found;
    const { repair } = query;
    this.sessions += 1;
    const frames: Frame[] = [
      {
        type: 'hello',
        proto: PROTO,
        session: `s${this.sessions}`,
        dataPlaneId: this.dataPlaneId,
        epoch: this.epoch,
        head: String(this.head),
        digest: this.digest,
        compacted: String(this.compacted),
        heartbeatSeconds: 1,
        maxAgeSeconds: 600,
        ...(reset ? { mode: 'reset', reason: reset } : { mode: verifies ? 'verify' : 'resume' }),
        ...(verifies ? { buckets: bucketDigests(this.live()) } : {}),
        ...(repair !== undefined && !reset ? { repair } : {}),
      },
    ];
    const from = reset || query.epoch !== this.epoch ? this.head : BigInt(query.cursor);
    if (reset) frames.push(...this.snapshot());
    else if (repair !== undefined) frames.push(this.repair(repair));
    for (const frame of frames) response.write(`${JSON.stringify(frame)}\n`);
    if (verifies) {
      response.end();
      return;
    }
    this.streams.set(response, { cursor: from });
    response.on('close', () => this.streams.delete(response));
    this.flush();
    if (raw['wait'] !== undefined) setTimeout(() => response.end(), 300);
  }

  private resetReason(query: { epoch: string; cursor: string; digest: string }) {
    const cursor = BigInt(query.cursor);
    if (query.epoch === '') return 'NEW' as const;
    if (query.epoch !== this.epoch) return query.digest === this.digest ? undefined : ('EPOCH' as const);
    if (cursor > this.head) return 'CURSOR_AHEAD' as const;
    if (cursor < this.compacted) return 'COMPACTED' as const;
    const differs = query.digest !== '' && query.digest !== this.digest;
    return cursor === this.head && differs ? ('DIVERGED' as const) : undefined;
  }

  private repair(repair: string): Frame {
    const ops = this.live().filter(({ kind, key }) => hasBucket(repair, bucketOf(kind, key)));
    this.repaired.push(...ops.map(({ key }) => key));
    return { type: 'snapshot', at: String(this.head), page: 1, last: true, repair, ops };
  }

  private *snapshot(): Generator<Frame> {
    const dead = [...this.rows.values()].filter((row) => row.op === 'del') as Op[];
    const rows: Op[] = [...this.live(), ...dead];
    const half = Math.ceil(rows.length / 2);
    const at = String(this.head);
    yield { type: 'snapshot', at, page: 0, last: false, ops: rows.slice(0, half) };
    yield { type: 'snapshot', at, page: 1, last: true, ops: rows.slice(half) };
  }

  private flush(): void {
    for (const [stream, state] of this.streams) {
      const order = (row: Row): number => (row.op === 'del' ? 10 : FEED_KINDS.indexOf(row.kind));
      const ops = [...this.rows.values()]
        .filter((row) => BigInt(row.rev) > state.cursor)
        .sort((a, b) => order(a) - order(b)) as Op[];
      if (this.head === state.cursor) continue;
      this.frame(stream, {
        type: 'delta',
        from: String(state.cursor),
        to: String(this.head),
        complete: true,
        ops,
      });
      state.cursor = this.head;
    }
  }
  private lastBeat = 0;
  private beat(): void {
    if (performance.now() - this.lastBeat < this.heartbeatMs) return;
    this.lastBeat = performance.now();
    const count = this.live().length;
    for (const [stream, { cursor }] of this.streams)
      this.frame(stream, { type: 'bookmark', cursor: String(cursor), digest: this.digest, count });
  }
  private frame(stream: ServerResponse, frame: Frame): void {
    stream.write(`${JSON.stringify(frame)}\n`);
  }
}

export const NO_ROWS = EMPTY_DIGEST;

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}
