// Reads feeds with ical.js: one JSON string per line in, what it understood of each per line out.
import { createInterface } from "node:readline";

const { default: ICAL } = await import(process.argv[2]);

for await (const line of createInterface({ input: process.stdin })) {
  const root = new ICAL.Component(ICAL.parse(JSON.parse(line)));
  for (const zone of root.getAllSubcomponents("vtimezone")) {
    ICAL.TimezoneService.register(zone);
  }
  const found = root.getAllSubcomponents("vevent").map((part) => {
    const event = new ICAL.Event(part);
    return [
      event.uid,
      event.sequence ?? 0,
      part.getFirstPropertyValue("status"),
      event.startDate.toJSDate().toISOString(),
      event.endDate.toJSDate().toISOString(),
      event.summary ?? "",
      event.location ?? "",
      event.description ?? "",
    ];
  });
  process.stdout.write(JSON.stringify(found) + "\n");
}
