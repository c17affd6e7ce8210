/** One alert, with a situation in which it fires and one, as near as can be, in which it does not. */
export interface AlertCase {
  alert: string;
  /** One sample per `every`, as promtool reads them: `0+1x20` is 0, 1, … 20. Our job and namespace are added. */
  fires: Record<string, string>;
  quiet: Record<string, string>;
  at: string;
  /** Default a minute. */
  every?: string;
  /** Labels besides those of the rule. */
  labels?: Record<string, string>;
  /** The description as a person gets it. */
  says: string;
}
