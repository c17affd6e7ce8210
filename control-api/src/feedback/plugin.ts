import { MAX_REPORT_BYTES, PROTO, type ReportReply, reportSchema } from '@felucca/contract';
import type { FastifyPluginAsync } from 'fastify';
import type { KeyedHash } from '../db/keyed-hash.ts';
import type { Database } from '../db/tenant.ts';
import type { RowSigner } from '../feed/signer.ts';
import type { FeedWake } from '../feed/wake.ts';
import { Problem } from '../http/problems.ts';
import type { OperatorAuth } from '../link/authenticate.ts';
import { invalidBody } from '../link/invalid.ts';
import type { OutputKey } from '../link/output-key.ts';
import { type Applied, applyReport } from './apply-report.ts';
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
  now?: () => number;
}

/** POST /v1/data-planes/{id}/reports: what an operator acknowledges and observes. */
export const feedbackPlugin: FastifyPluginAsync<FeedbackPluginOptions> = async (app, options) => {
  const { db, hash, signer, wake, outputKey, auth, metrics, now = () => performance.now() } = options;
  app.decorateRequest('operatorDataPlaneId', '');
  app.post(
    '/v1/data-planes/:id/reports',
    {
      bodyLimit: MAX_REPORT_BYTES,
      schema: { hide: true },
      // The credential comes before the body: a stranger's megabyte is not read.
      onRequest: async (request) => {
        const { dataPlaneId } = await auth(request);
        request.operatorDataPlaneId = dataPlaneId;
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
        const applied = await applyReport({ db, hash, signer }, dataPlaneId, report.data);
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
          outputKey: signer.signOutputKey(request.operatorDataPlaneId, outputKey.publicKey),
        };
      } catch (error) {
        metrics.reports.inc({ result: error instanceof Problem ? 'refused' : 'failed' });
        throw error;
      }
    },
  );
};

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
