/* Time to target against the number of devices, at the fastest batch size of each. */

function devicesChart(host, rows) {
  const label = () => "Time to target against the number of devices; the table below holds the same numbers";
  chart(host, 280, label, (frame) => {
    const counts = rows.map((row) => row.devices);
    const perfect = (row) => row.seconds.value * row.efficiency;
    const x = logScale(...logExtent(counts, 1.2), frame.left, frame.right);
    const values = rows.flatMap((row) => [row.seconds.value, row.seconds.low, row.seconds.high, perfect(row)]);
    const y = logScale(...logExtent(values, 1.25), frame.bottom, frame.top);
    axes(frame, x, y, ["Devices", "Time to target (s)"], counts);
    const { svg } = frame;
    drawn(svg, "path", { class: "line perfect", d: path(rows.map((row) => [x.at(row.devices), y.at(perfect(row))])) });
    const points = rows.map((row) => {
      const [left, { value, low, high }] = [x.at(row.devices), row.seconds];
      drawn(svg, "line", { class: "bar", x1: left, x2: left, y1: y.at(low ?? value), y2: y.at(high ?? value) });
      drawn(svg, "circle", { class: "main", cx: left, cy: y.at(value), r: 5 });
      const lines = [
        ["Devices:", String(row.devices)],
        [`${duration(value)}${ends(row.seconds, duration)}`, `at B = ${row.batch_size}`],
        `${rounded(row.speedup.value)} times as fast as one, ${rounded(row.device_hours.value)} device-hours`,
      ];
      return { x: left, y: y.at(value), lines };
    });
    findable(frame, "Numbers of devices: arrow keys go through them", points, ring(svg, 8));
  });
}
