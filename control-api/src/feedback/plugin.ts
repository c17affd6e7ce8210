import { MAX_REPORT_BYTES, PROTO, type ReportReply, reportSchema } from '@felucca/contract';
import type { FastifyPluginAsync } from 'fastify';
import type { KeyedHash } from '../db/keyed-hash.ts';
import type { Database } from '../db/tenant.ts';
import type { RowSigner } from '../feed/signer.ts';
import { createSlots } from '../feed/slots.ts';
import type { FeedWake } from '../feed/wake.ts';
import { Problem } from '../http/problems.ts';
import type { OperatorAuth } from '../link/authenticate.ts';
import { invalidBody } from '../link/invalid.ts';
import type { OutputKey } from '../link/output-key.ts';
import { type Applied, applyReport } from './apply-report.ts';
import { createBackpressure } from './backpressure.ts';
import type { FeedbackMetrics } from './metrics.ts';
import { reissueOvertaken } from './reissue.ts';

export interface FeedbackPluginOptions {
  db: Database;
  hash: KeyedHash;
  signer: RowSigner;
  wake: Pick<FeedWake, 'committed'>;
  outputKey: OutputKey;
  auth: OperatorAuth;
  metrics: FeedbackMetrics;
  /** Monotonic milliseconds. */
  now: () => number;
  random: () => number;
  limits: Partial<ReportLimits>;
}

export interface ReportLimits {
  /** Transactions that store reports at the same time: the others of the pool are the feed's. */
  storedAtOnce: number;
  /** Reports that are under way, and their bytes; more are told to come later. */
  underWay: number;
  bytes: number;
}
export const REPORT_LIMITS: ReportLimits = { storedAtOnce: 8, underWay: 512, bytes: 64 * 1024 * 1024 };

/** POST /v1/data-planes/{id}/reports: what an operator acknowledges and observes. */
export const feedbackPlugin: FastifyPluginAsync<FeedbackPluginOptions> = async (app, options) => {
  const { db, hash, signer, wake, outputKey, auth, metrics, now, random } = options;
  const limits = { ...REPORT_LIMITS, ...options.limits };
  const inSlot = createSlots(limits.storedAtOnce);
  const pressure = createBackpressure({ maxReports: limits.underWay, maxBytes: limits.bytes, random });
  app.decorateRequest('operatorDataPlaneId', '');
  app.post(
    '/v1/data-planes/:id/reports',
    {
      bodyLimit: MAX_REPORT_BYTES,
      schema: { hide: true },
      // The credential comes before the body: a stranger's megabyte is not read.
      onRequest: async (request, reply) => {
        const { dataPlaneId } = await auth(request);
        request.operatorDataPlaneId = dataPlaneId;
        try {
          // Its answer, or the end of its connection.
          reply.raw.once('close', pressure.enter(sizeOf(request.headers['content-length'])));
        } catch (error) {
          metrics.reports.inc({ result: 'put_off' });
          throw error;
        }
      },
    },
    async (request): Promise<ReportReply> => {
      const { proto } = (request.body ?? {}) as { proto?: unknown };
      if (typeof proto === 'number' && proto !== PROTO)
        throw new Problem(
          'PROTOCOL_VERSION',
          `This control plane speaks protocol ${PROTO}; upgrade the operator.`,
        );
      const report = reportSchema.safeParse(request.body);
      if (!report.success) {
        metrics.reports.inc({ result: 'invalid' });
        throw invalidBody('report', report.error.issues);
      }
      const startMs = now();
      try {
        const { operatorDataPlaneId: dataPlaneId } = request;
        const applied = await inSlot(() => applyReport({ db, hash, signer }, dataPlaneId, report.data));
        // Also of a repeated report: its first time may have ended here.
        const reissued =
          report.data.unknown.length > 0 ? await reissueOvertaken({ db, signer }, dataPlaneId) : 0;
        if (reissued > 0) {
          request.log.info(
            { dataPlaneId, reissued },
            'orders go out again above the generations of the cluster',
          );
          wake.committed([dataPlaneId]);
        }
        count(metrics, applied);
        metrics.duration.observe((now() - startMs) / 1_000);
        // Not from the database, where the answer is kept for a repeat.
        return {
          ...applied.reply,
          outputKey: await signer.signOutputKey(request.operatorDataPlaneId, outputKey.publicKey),
        };
      } catch (error) {
        metrics.reports.inc({ result: error instanceof Problem ? 'refused' : 'failed' });
        throw error;
      }
    },
  );
};

/** A body that does not say how long it is may be as long as one can be. */
const sizeOf = (contentLength: string | undefined): number =>
  Math.min(MAX_REPORT_BYTES, Number(contentLength ?? MAX_REPORT_BYTES) || 0);

declare module 'fastify' {
  interface FastifyRequest {
    /** Set from the credential by the report route. */
    operatorDataPlaneId: string;
  }
}

function count(metrics: FeedbackMetrics, { reply, repeated, progress }: Applied): void {
  metrics.reports.inc({ result: repeated ? 'repeated' : 'accepted' });
  if (repeated) return;
  metrics.items.inc({ result: 'accepted' }, reply.accepted);
  metrics.items.inc({ result: 'rejected' }, reply.rejected.length);
  for (const { state, seconds } of progress) metrics.propagation.observe({ stage: state }, seconds);
}
