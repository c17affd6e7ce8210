// Preloaded into an operator: its clock runs CLOCK_SPEED times as fast, and its wall clock is CLOCK_OFFSET_MS off. So
// deadlines of minutes come in seconds, and a wrong clock can be tried without a wrong machine.
const speed = Number(process.env.CLOCK_SPEED ?? '1');
const offsetMs = Number(process.env.CLOCK_OFFSET_MS ?? '0');

const { setTimeout: setTimer, setInterval: setTicker, Date: RealDate } = globalThis;
const monotonic = performance.now.bind(performance);
const begunMs = monotonic();
const begunWallMs = RealDate.now() + offsetMs;

performance.now = () => begunMs + (monotonic() - begunMs) * speed;
globalThis.setTimeout = Object.assign((run, ms = 0, ...args) => setTimer(run, ms / speed, ...args), setTimer);
globalThis.setInterval = Object.assign(
  (run, ms = 0, ...args) => setTicker(run, ms / speed, ...args),
  setTicker,
);
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(begunWallMs + (monotonic() - begunMs) * speed);
    else super(...args);
  }

  static now() {
    return new this().getTime();
  }
};
