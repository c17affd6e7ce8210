import type { ApiRequest } from './api-request.ts';
import type { Frame } from './frames.ts';

export type UpstreamName = 'a' | 'b';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** `reset` ends this request's stream, `disconnect` its whole connection, `swallow` leaves it without an answer. */
export type Loss = { readonly do: 'reset' } | { readonly do: 'disconnect' } | { readonly do: 'swallow' };
/** Undefined: nothing special. `send` goes on with another body, path or API server; a watch then begins with `lines`. */
export type RequestVerdict =
  | undefined
  | Loss
  | { readonly do: 'answer'; readonly answer: Answer }
  | {
      readonly do: 'send';
      readonly body?: Buffer;
      readonly path?: string;
      readonly upstream?: UpstreamName;
      readonly lines?: readonly Buffer[];
    };
/** `truncate` sends this many bytes of the body and resets. */
export type AnswerVerdict =
  | undefined
  | Loss
  | { readonly do: 'answer'; readonly answer: Answer }
  | { readonly do: 'truncate'; readonly bytes: number };
/** The lines that the operator gets for this one; `after` says how the watch ends then. */
export type FrameVerdict =
  | undefined
  | { readonly lines: readonly Buffer[]; readonly after?: 'end' | 'reset' | 'disconnect' };

type Maybe<T> = T | Promise<T>;

/**
 * What is done to the traffic between operator and API server. A hook that returns a promise holds what it was asked
 * about (and of a watch everything behind it) until the promise resolves.
 */
export interface Fault {
  /** Before the request leaves for the API server; a watch's request too. */
  request?(request: ApiRequest): Maybe<RequestVerdict>;
  /** The API server has answered, the operator does not know yet. Not of watches. */
  answer?(request: ApiRequest, answer: Answer): Maybe<AnswerVerdict>;
  /** The operator was sent the answer. */
  answered?(request: ApiRequest, answer: Answer): void;
  /** One line of a watch, before the operator gets it. */
  frame?(frame: Frame, watch: WatchStream): Maybe<FrameVerdict>;
}

/** A watch that is open. */
export interface WatchStream {
  readonly request: ApiRequest;
  /** One more line, which the API server did not send now. */
  send(line: Buffer): void;
  /** As after a lost connection: the operator goes on from the last version it saw. */
  reset(): void;
  /** As after a compaction: the operator has to list again. */
  expire(): void;
}

/** The first fault that objects decides. */
export async function judgeRequest(faults: Iterable<Fault>, request: ApiRequest): Promise<RequestVerdict> {
  for (const fault of faults) {
    const verdict = await fault.request?.(request);
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

/** A changed answer is what the next fault sees; a loss ends it. */
export async function judgeAnswer(
  faults: Iterable<Fault>,
  request: ApiRequest,
  answer: Answer,
): Promise<Exclude<AnswerVerdict, undefined>> {
  let current = answer;
  for (const fault of faults) {
    const verdict = await fault.answer?.(request, current);
    if (verdict === undefined) continue;
    if (verdict.do !== 'answer') return verdict;
    current = verdict.answer;
  }
  return { do: 'answer', answer: current };
}

/** Each fault sees what the one before let through; lines that a fault made up are not judged again. */
export async function judgeFrame(
  faults: Iterable<Fault>,
  frame: Frame,
  watch: WatchStream,
): Promise<Exclude<FrameVerdict, undefined>> {
  for (const fault of faults) {
    const verdict = await fault.frame?.(frame, watch);
    if (verdict !== undefined) return verdict;
  }
  return { lines: [frame.line] };
}
