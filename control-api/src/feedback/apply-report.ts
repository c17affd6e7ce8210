import type { Report, ReportReply } from '@felucca/contract';
import type { KeyedHash } from '../db/keyed-hash.ts';
import { asFeed, type Database, type FeedTx, together } from '../db/tenant.ts';
import type { RowSigner } from '../feed/signer.ts';
import { Problem } from '../http/problems.ts';
import { keepSealingKey } from '../link/sealing-key.ts';
import { storeDrift } from './drift.ts';
import { dropSettledNacks, storeNacks } from './nacks.ts';
import { moveOperationsOn, moveToDelivered, type Progress } from './operations.ts';
import { storeSealedOutputs } from './sealed-outputs.ts';
import { countReport, type LinkState, lockReports } from './session.ts';
import { judgeStatus, type Rejection, storeStatus } from './status.ts';
import { believe, forgetUnknown, storeUnknown } from './unknown.ts';

export interface Applied {
  reply: ReportReply;
  /** The same sequence number was answered before; nothing was changed. */
  repeated: boolean;
  progress: Progress[];
}

/**
 * One report, one transaction: all of it or nothing.
 * @throws Problem CONFLICT when session, epoch or term are not the current ones, with nothing changed.
 */
export function applyReport(
  { db, hash, signer }: { db: Database; hash: KeyedHash; signer: Pick<RowSigner, 'wasSigned'> },
  dataPlaneId: string,
  report: Report,
): Promise<Applied> {
  const held = report.unknown.map((object) => believe(signer, dataPlaneId, object));
  return asFeed(db, async (tx) => {
    const state = await lockReports(tx, dataPlaneId);
    if (!state) throw new Problem('NOT_FOUND', 'There is no such data plane.');
    mustBeCurrent(state, report);
    if (report.seq <= state.lastSeq)
      return { reply: answerAgain(state, report), repeated: true, progress: [] };
    if (report.sealingKey) await keepSealingKey(tx, hash, dataPlaneId, report.sealingKey);
    await storeUnknown(tx, dataPlaneId, report.epoch, held);
    return applyNew(tx, dataPlaneId, state, report);
  });
}

async function applyNew(tx: FeedTx, dataPlaneId: string, state: LinkState, report: Report): Promise<Applied> {
  const acked = acknowledged(state, report);
  const wasUnknown = await forgetUnknown(tx, dataPlaneId, report.status);
  const [delivered, refused, judged] = await together([
    moveToDelivered(tx, dataPlaneId, state.acked, acked),
    storeNacks(tx, dataPlaneId, report.nacks),
    judgeStatus(tx, dataPlaneId, report.status),
  ]);
  const { accepted } = judged;
  const rejected = judged.rejected.filter((item) => !wasUnknown(item));
  const steered = accepted.filter(({ item }) => !item.local).map(({ item }) => item);
  const instances = steered.filter((item) => item.kind === 'Instance').map((item) => item.id);
  // Of most data planes nothing is refused; asking for each row would take a twelfth of the database's time.
  const mayBeSettled = state.hasNacks || report.nacks.length > 0 ? steered.map((item) => item.id) : [];
  // In this order, and each sees what those before it wrote.
  const [, , moved, , undrifted] = await together([
    storeStatus(tx, dataPlaneId, report.session, accepted),
    storeSealedOutputs(tx, dataPlaneId, report.session, accepted),
    moveOperationsOn(tx, dataPlaneId, instances),
    dropSettledNacks(tx, dataPlaneId, mayBeSettled),
    storeDrift(tx, dataPlaneId, report.drift),
  ]);
  rejected.push(...refused, ...undrifted);
  const progress = [...delivered, ...moved];
  const reply = replyTo(report, rejected);
  if (!(await countReport(tx, dataPlaneId, report, acked, reply))) throw notCurrent('session');
  return { reply, repeated: false, progress };
}

function mustBeCurrent(state: LinkState, report: Report): void {
  if (report.term < state.term) throw notCurrent('term');
  if (report.session !== state.session) throw notCurrent('session');
  if (report.epoch !== state.epoch) throw notCurrent('epoch');
}

const notCurrent = (what: 'session' | 'epoch' | 'term'): Problem =>
  new Problem(
    'CONFLICT',
    `The ${what} of the report is not the current one; open the sync stream again and report under its session. ` +
      'Nothing was changed.',
  );

/** Never backwards in an epoch; a cursor beyond the head means that one side went back in time. */
function acknowledged(state: LinkState, report: Report): bigint {
  if (!report.ack) return state.acked;
  const cursor = BigInt(report.ack.cursor);
  if (cursor > state.head)
    throw new Problem(
      'CONFLICT',
      `The report acknowledges revision ${cursor}, but the newest is ${state.head}; open the sync stream again. ` +
        'Nothing was changed.',
    );
  return cursor > state.acked ? cursor : state.acked;
}

/** Only the newest answer is kept; an older repeat is settled all the same. */
function answerAgain(state: LinkState, report: Report): ReportReply {
  const { lastReply } = state;
  return lastReply?.seq === report.seq ? lastReply : { seq: report.seq, accepted: 0, rejected: [] };
}

function replyTo(report: Report, rejected: Rejection[]): ReportReply {
  const items = report.status.length + report.drift.length + report.nacks.length + report.unknown.length;
  return { seq: report.seq, accepted: Math.max(0, items - rejected.length), rejected };
}
